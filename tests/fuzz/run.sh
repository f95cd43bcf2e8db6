#!/bin/sh
# run.sh DIRECTORY SECONDS FUZZER...: runs each fuzzer for so long, as many at a time as there are
# processors, from the seeds in tests/fuzz/seeds/FUZZER and what earlier runs found in
# DIRECTORY/corpus. Prints a line for each, and `N passed, N failed`. An input that fails is kept
# in DIRECTORY/failed.
set -u
directory=$1
seconds=$2
shift 2
here=$(dirname "$0")
mkdir -p "$directory/failed"

run() { # run FUZZER
    corpus=$directory/corpus/$1
    dictionary=$here/$1.dict
    mkdir -p "$corpus"
    ASAN_OPTIONS=detect_leaks=0 "$directory/$1" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$directory/failed/$1-" -verbosity=0 \
        $([ ! -f "$dictionary" ] || echo "-dict=$dictionary") "$corpus" "$here/seeds/$1" \
        >"$directory/$1.log" 2>&1
    status=$?
    executed=$(sed -n 's/^stat::number_of_executed_units: //p' "$directory/$1.log")
    if [ $status -eq 0 ]; then
        echo "fuzz $1: $executed executions, $(find "$corpus" -type f | wc -l) inputs kept, none failed"
    else
        echo "fuzz $1: FAILED after ${executed:-some} executions; see $directory/$1.log"
        tail -n 30 "$directory/$1.log"
    fi
    echo $status >"$directory/$1.status"
}

running=0
for fuzzer; do
    run "$fuzzer" &
    running=$((running + 1))
    if [ $running -ge "$(nproc)" ]; then
        wait
        running=0
    fi
done
wait

passed=0
failed=0
for fuzzer; do
    if [ "$(cat "$directory/$fuzzer.status")" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
