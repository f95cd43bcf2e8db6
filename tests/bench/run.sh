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

command -v wrk >/dev/null || { echo "wrk is missing: run 'make deps'" >&2; exit 1; }
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

compare() { # compare TITLE CONNECTIONS
    for name in bare never always; do : >"$work/$name.rates"; done
    for round in $(seq "$rounds"); do
        for name in bare never always; do rate $name "$2" >>"$work/$name.rates"; done
    done
    b=$(median <"$work/bare.rates")
    n=$(median <"$work/never.rates")
    a=$(median <"$work/always.rates")
    awk -v t="$1" -v b="$b" -v n="$n" -v a="$a" 'BEGIN {
        printf "%-34s bare %7.0f/s   --sync never %7.0f/s (%.2f)   always %7.0f/s\n", t, b, n, n / b, a }'
}

echo "server, requests/s: bare civetweb handler, cmcwh --sync never (ratio), --sync always"
export BODY=tests/payloads/deliveries-queued.json
compare "1 event, 1 connection" 1
compare "1 event, 8 connections" 8
export CLOSE=1
compare "1 event, 8, without keep-alive" 8
