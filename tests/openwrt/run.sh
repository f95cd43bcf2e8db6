#!/bin/sh
# run.sh CMCWH [INIT CONFIG]: runs the real init script, or that of a package, under each small shell that is here, on stubs
# of UCI and procd, and starts CMCWH with the command line that comes of it. Ends with `N passed, N failed`.
set -u
cmcwh=$1
here=$(cd "$(dirname "$0")" && pwd)
init=${2:-$here/../../port/openwrt/files/cmcwh.init}
config=${3:-$here/../../port/openwrt/files/cmcwh.config}
jail=/bin/sh # a program that is there
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0

start() { # start SHELL: what the init script tells procd
    UCI_CONFIG=$folder/config CMCWH_PROG=$cmcwh CMCWH_JAIL=$jail $1 -c ". '$here/stub.sh'; . '$init'; start_service; service_triggers"
}

expect() { # expect NAME TEXT: the output has just these lines for the command
    if [ "$(sed -n 's/^command //p' "$folder/out")" = "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$shell: $1: not as expected:"
        cat "$folder/out"
    fi
}

has() { # has NAME LINE
    if grep -qxF -- "$2" "$folder/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$shell: $1: '$2' is missing:"
        cat "$folder/out"
    fi
}

lacks() { # lacks NAME PATTERN
    if grep -q -- "$2" "$folder/out"; then
        failed=$((failed + 1))
        echo "$shell: $1: '$2' is there:"
        cat "$folder/out"
    else
        passed=$((passed + 1))
    fi
}

checks() {
    shell=$1
    cp "$config" "$folder/config"
    start "$shell" >"$folder/out" 2>&1
    expect "the package's configuration is off" ""
    has "a change of the configuration is noticed" "trigger cmcwh"

    sed -i "s/enabled '0'/enabled '1'/" "$folder/config"
    start "$shell" >"$folder/out" 2>&1
    expect "the package's configuration" "$cmcwh
serve
--ring-records
256
--workers
2
--connections
128
--log-level
warn
--listen
127.0.0.1:8080
--sink
syslog:"

    cat >"$folder/config" <<'EOF'
config cmcwh 'a'
	option enabled 'yes'
	list listen '127.0.0.1:0'
	list listen '[::1]:0'
	option ring '/tmp/a folder/ring'
	option auth_file '/etc/cmcwh/auth'
	list sink "file:/var/log/it's.log?rotate=1M&keep=2"
	list sink 'serial:/dev/ttyS0?baud=9600'
	list sink 'https://h.example/x?format=cmc&headers=/etc/cmcwh/headers&dead=/etc/cmcwh/state/dead'
	list proxy '127.0.0.1'
config cmcwh 'b'
	option enabled '0'
	option listen '127.0.0.1:1'
EOF
    start "$shell" >"$folder/out" 2>&1
    expect "lists, spaces and quotes" "$cmcwh
serve
--auth-file
/etc/cmcwh/auth
--ring
/tmp/a folder/ring
--listen
127.0.0.1:0
--listen
[::1]:0
--proxy
127.0.0.1
--sink
file:/var/log/it's.log?rotate=1M&keep=2
--sink
serial:/dev/ttyS0?baud=9600
--sink
https://h.example/x?format=cmc&headers=/etc/cmcwh/headers&dead=/etc/cmcwh/state/dead"
    has "the auth file may change" "file /etc/cmcwh/auth"
    has "a signal is enough then" "reload_signal HUP"
    has "the ring's folder can be written" "mount_rw /tmp/a folder"
    has "the log's folder can be written" "mount_rw /var/log"
    has "the line can be written" "mount_rw /dev/ttyS0"
    has "it comes back" "respawn 3600"
    has "a folder for the ring is made" "mkdir -p /tmp/a folder"
    has "and is the daemon's" "chown cmcwh:cmcwh /tmp/a folder"
    has "a sink's secrets can be read" "mount /etc/cmcwh/headers"
    has "and may change" "file /etc/cmcwh/headers"
    has "its dead letters can be written" "mount_rw /etc/cmcwh/state"
    has "whom the system trusts can be seen" "mount /etc/ssl"
    has "it is in a jail" "jail cmcwh"
    has "of which nothing else can be written" "jail ronly"
    has "and may open ports below 1024" "capabilities /etc/capabilities/cmcwh.json"
    has "as a user" "user cmcwh"

    sed -i "s|/tmp/a folder/ring|$folder/ring|" "$folder/config"
    jail=/nowhere start "$shell" >"$folder/out" 2>&1
    lacks "a folder that is there is left as it is" "^ch\(own\|mod\) "
    lacks "no jail where there is none" "^\(jail\|mount\|user\) "
    has "it goes down to a user itself" "command --user"

    printf "config cmcwh 'main'\n\toption enabled '1'\n\toption sinks 'syslog:'\n" >"$folder/config"
    start "$shell" >"$folder/out" 2>&1
    expect "an unknown option: it is not started" ""
    if [ "$(grep -c "^log .*unknown option 'sinks'; known are: enabled" "$folder/out")" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        cat "$folder/out"
    fi
}

# Each option of cmcwh is one of /etc/config/cmcwh, or left out on purpose; and the other way round.
knows_all() {
    "$cmcwh" help serve | sed -n 's/^  --\([a-z-]*\) .*/\1/p' | tr - _ | sort >"$folder/has"
    sh -c ". '$here/stub.sh'; . '$init'; printf '%s\n' \$SINGLES \$LISTS \$LEFT_OUT" | sort >"$folder/knows"
    if [ -s "$folder/has" ] && diff "$folder/has" "$folder/knows" >"$folder/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "the init script does not know the options of cmcwh, '<': missing, '>': none of cmcwh:"
        cat "$folder/out"
    fi
}

# The command line is one that cmcwh takes, and it serves.
serves() {
    printf "config cmcwh 'main'\n\toption enabled '1'\n\tlist listen '127.0.0.1:0'\n\tlist sink 'file:%s'\n" \
        "$folder/log" >"$folder/config"
    start sh >"$folder/out" 2>&1
    sed -n 's/^command //p' "$folder/out" | tr '\n' '\0' | xargs -0 timeout 20 2>"$folder/said" &
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        address=$(sed -n 's/^listening on //p' "$folder/said")
        [ -z "$address" ] || break
        sleep 0.2
    done
    answer=$(curl -s -m 10 -H 'Content-Type: application/json' \
        --data-binary @"$here/../payloads/deliveries-queued.json" "$address")
    pkill -P $! 2>/dev/null || kill $! 2>/dev/null
    wait
    if [ "$answer" = '{"stored":1}' ] && [ "$(wc -l <"$folder/log")" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not served: '$answer'"
        cat "$folder/out" "$folder/said"
    fi
}

for shell in "busybox ash" dash; do
    if command -v ${shell%% *} >/dev/null; then
        checks "$shell"
    else
        echo "skipped: ${shell%% *} is not here"
    fi
done
knows_all
serves
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
