#!/bin/sh
# run.sh TARGET...: for each target builds the static daemon and the unit tests, runs the tests, posts
# the payloads to the daemon, and has rings of both byte orders written on one processor and read on
# the other. TARGET+musl is with the musl of `make musl`. What cannot run here is said by name and not counted as
# passed. Logs: build/cross.
set -u
here=$(dirname "$0")
passed=0 failed=0
mkdir -p build/cross

# Which qemu runs a target's programs; none for those of this machine.
emulator() {
    case $1 in
    i686-*) echo qemu-i386-static ;;
    powerpc-*) echo qemu-ppc-static ;;
    "$(uname -m)"-*) ;;
    *) echo "qemu-${1%%-*}-static" ;;
    esac
}

# The daemon must run without an FPU: test programs may use it, cmocka does.
without() {
    case $1 in
    mips-*+musl | mipsel-*+musl) echo "-cpu 24Kc" ;;
    arm-linux-gnueabi+musl) echo "-cpu arm926" ;;
    esac
}

settings() { # the words for make
    case $1 in
    *-musl) echo "WERROR=1 CC=musl-gcc STATIC=1 TLS=0 CMOCKA_SRC=build/deps/cmocka" ;;
    *+musl) echo "WERROR=1 CROSS_COMPILE=${1%+musl}-" ;;
    *) echo "WERROR=1 CROSS_COMPILE=$1- MUSL=0" ;;
    esac
}

count() { # count TARGET WHAT PASSED FAILED LOG
    passed=$((passed + $3)) failed=$((failed + $4))
    printf '%-28s %-14s %4d passed, %d failed\n' "$1" "$2" "$3" "$4"
    [ "$4" -eq 0 ] || tail -n 30 "$5"
}

# A program for another processor looks to its callers like one for this.
wrap() { # wrap NAME PROGRAM EMULATOR
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$3" "$PWD/$2" >"build/cross/$1"
    chmod +x "build/cross/$1"
}

# No instruction of an FPU, also where no test comes.
float() { # float TARGET PROGRAM
    if sh "$here/../size/float.sh" "${1%+musl}-" "$2" >>"$log" 2>&1; then
        count "$1" "without FPU" 1 0 "$log"
    else
        count "$1" "without FPU" 0 1 "$log"
    fi
}

unit_tests() { # unit_tests TARGET EMULATOR PROGRAMS
    good=0 bad=0 folder=build/cross/$1.unit failures=
    rm -rf "$folder"
    mkdir "$folder"
    CMCWH_SEEDS=2 CMOCKA_MESSAGE_OUTPUT=TAP LIMIT=300 EMULATOR=$2 sh "$here/../programs.sh" "$folder" $3
    for program in $3; do
        name=$(basename "$program")
        cat "$folder/$name.log" >>"$log"
        status=$(cat "$folder/$name.status")
        if [ "$status" = 0 ]; then
            good=$((good + 1))
        else
            bad=$((bad + 1))
            failures="$failures $folder/$name.log"
            echo "$name: exit status $status" >>"$folder/$name.log"
        fi
    done
    [ -z "$failures" ] || cat $failures >>"$log" # last, where it is seen
    count "$1" "unit programs" $good $bad "$log"
}

# Not of sinks: what they say of memory would be that of the emulator.
server_tests() { # server_tests TARGET
    timeout 600 python3 tests/integration/run.py --cmcwh "build/cross/$1.sh" --only test_payloads_with_curl --only test_200 \
        --only test_401 --only test_keep_alive --only test_all_or_nothing --only test_408 \
        --only test_events_wait_for_a_dead_sink --only test_damaged_record --only test_ring_of_a_big_endian \
        --only test_follow --without test_onward_faults >"$log.server" 2>&1
    status=$?
    cat "$log.server" >>"$log"
    line=$(tail -n 1 "$log.server" | grep -E '^[0-9]+ passed, [0-9]+ failed')
    good=$(echo "$line" | sed 's/ .*//') bad=$(echo "$line" | sed 's/.*passed, \([0-9]*\).*/\1/')
    [ -n "$line" ] || good=0 bad=1
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    count "$1" server $good $bad "$log"
}

# This processor writes a ring that this machine's cmcwh prints, and the other way round.
rings() { # rings TARGET MAKER
    "build/cross/$1.make" >"build/cross/$1.ring" 2>>"$log" &&
        cmp "build/cross/$1.ring" tests/golden/big-endian.ring >>"$log" 2>&1 && good=$((good + 1)) ||
        bad=$((bad + 1))
    for program in "build/cross/$1.sh" ./cmcwh; do
        "$program" cat "build/cross/$1.ring" 2>>"$log" | cmp - tests/golden/big-endian.json >>"$log" 2>&1 &&
            good=$((good + 1)) || bad=$((bad + 1))
    done
    count "$1" rings $good $bad "$log"
}

target() {
    emulator=$(emulator "$1")
    log=build/cross/$1.log
    : >"$log"
    if [ -n "$emulator" ] && ! command -v "$emulator" >/dev/null; then
        echo "$1: skipped, $emulator is missing: run 'make cross-deps'"
        return
    fi
    compiler=musl-gcc
    [ "${1%-musl}" != "$1" ] || compiler=${1%+musl}-gcc
    if ! command -v "$compiler" >/dev/null; then
        echo "$1: skipped, $compiler is missing: run 'make cross-deps'"
        return
    fi
    if [ "${1%+musl}" != "$1" ] && [ ! -x "build/deps/musl-${1%+musl}/bin/musl-gcc" ]; then
        echo "$1: skipped, its musl is missing: run 'make musl TARGET=${1%+musl}'"
        return
    fi
    out=$(make -s $(settings "$1") show-out)
    if ! make -s $(settings "$1") "$out/cmcwh" "$out/golden/make" unit >"$log" 2>&1; then
        count "$1" build 0 1 "$log"
        return
    fi
    wrap "$1.sh" "$out/cmcwh" "$emulator $(without "$1")"
    wrap "$1.make" "$out/golden/make" "$emulator $(without "$1")"
    count "$1" build 1 0 "$log"
    [ -z "$(without "$1")" ] || float "$1" "$out/cmcwh"
    unit_tests "$1" "$emulator" "$(tail -n 1 "$log")"
    server_tests "$1"
    good=0 bad=0
    rings "$1"
}

for name; do
    target "$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
