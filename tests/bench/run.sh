#!/bin/sh
# run.sh BENCH BARE CMCWH: measures the portable part, and the server with wrk beside a bare civetweb
# handler: rounds of each in turn, the median of each counts. ROUNDS and SECONDS_EACH may be set.
set -eu
bench=$1
bare=$2
cmcwh=$3
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-2}
work=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; rm -rf "$work"' EXIT

echo "$(date +%F), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
"$bench" tests/payloads/deliveries-*.json

command -v wrk >/dev/null || { echo "wrk is missing: run 'make bench-deps'" >&2; exit 1; }
cat >"$work/post.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
if os.getenv("CLOSE") then wrk.headers["Connection"] = "close" end
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("a")
file:close()
LUA

serve() { # serve NAME OPTIONS...: starts cmcwh, leaves its port in $work/NAME
    name=$1
    shift
    "$cmcwh" serve --listen 127.0.0.1:0 --log-level error "$@" 2>"$work/$name.err" &
    pids="$pids $!"
    until grep -q listening "$work/$name.err"; do sleep 0.05; done
    sed -n 's/.*:\([0-9]*\)\/.*/\1/p' "$work/$name.err" >"$work/$name"
}

"$bare" 8 >"$work/bare" &
pids="$pids $!"
serve never --workers 8 --sync never --sink file:/dev/null
serve always --workers 8 --sync always --sink "file:$work/log"
serve ring-never --workers 8 --sync never --ring "$work/ring-n" --sink file:/dev/null
serve ring-always --workers 8 --sync always --ring "$work/ring-a" --sink "file:$work/log-a"
until [ -s "$work/bare" ]; do sleep 0.05; done

rate() { # rate NAME CONNECTIONS: requests a second; answers other than 2xx end the measurement
    wrk -t $(($2 > 1 ? 2 : 1)) -c "$2" -d "${seconds}s" -s "$work/post.lua" \
        "http://127.0.0.1:$(cat "$work/$1")/mails" >"$work/wrk"
    if grep -q 'Non-2xx' "$work/wrk"; then
        echo "$1: $(grep 'Non-2xx' "$work/wrk")" >&2
    fi
    sed -n 's/^Requests\/sec: *//p' "$work/wrk"
}

median() {
    sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

names="bare never ring-never always ring-always"

compare() { # compare TITLE CONNECTIONS
    for name in $names; do : >"$work/$name.rates"; done
    for round in $(seq "$rounds"); do
        for name in $names; do rate "$name" "$2" >>"$work/$name.rates"; done
    done
    printf '%-30s' "$1"
    for name in $names; do
        median <"$work/$name.rates" | tee "$work/$name.$2" | awk '{ printf " %11.0f", $1 }'
    done
    echo
}

ratio() { # ratio TITLE NAME CONNECTIONS NAME CONNECTIONS
    awk -v t="$1" -v a="$(cat "$work/$2.$3")" -v b="$(cat "$work/$4.$5")" \
        'BEGIN { printf "%-60s %5.2f\n", t, a / b }'
}

echo "server, requests/s: a bare civetweb handler; cmcwh with --sync never, in memory and with --ring,"
echo "to /dev/null; with --sync always, in memory and with --ring, to a file beside the ring"
printf '%-30s' ''
printf ' %11s' $names
echo
export BODY=tests/payloads/deliveries-queued.json
compare "1 event, 1 connection" 1
compare "1 event, 8 connections" 8
ratio "--sync never / bare, 8 connections" never 8 bare 8
ratio "--sync never: --ring / memory, 8 connections" ring-never 8 never 8
ratio "--sync always with --ring: 8 connections / 1" ring-always 8 ring-always 1
export CLOSE=1
compare "1 event, 8, without keep-alive" 8
