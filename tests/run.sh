#!/bin/sh
# run.sh PROGRAMS CMCWH [OPTIONS]: runs the unit programs, the checks that need no program, and the
# integration tests against CMCWH. Ends with `N passed, N failed`; what failed is shown.
# OBJECT names cmcwh.o built without the server, GOLDEN the program made of tests/golden/make.c;
# INTEGRATION=0 leaves the integration tests out.
set -u
programs=$1
cmcwh=$2
shift 2
here=$(dirname "$0")
folder=$(mktemp -d)
log=$folder/log
passed=0
failed=0
trap 'rm -rf "$folder"' EXIT

count() { # count NAME PASSED FAILED: adds up, and shows the log of what failed
    passed=$((passed + $2))
    failed=$((failed + $3))
    printf '%-28s %s passed, %s failed\n' "$1" "$2" "$3"
    [ "$3" -eq 0 ] || cat "$log"
}

# cmocka's TAP output has a line for each test; a program that dies has one failure more.
unit() {
    name=$(basename "$1")
    mv "$folder/$name.log" "$log"
    status=$(cat "$folder/$name.status")
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^not ok ' "$log")
    [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ $((good + bad)) -gt 0 ] || bad=1
    grep '^# [0-9]' "$log"
    count "$name" "$good" "$bad"
}

# A check is a command that says what is wrong and fails.
check() {
    name=$1
    shift
    if "$@" >"$log" 2>&1; then
        count "$name" 1 0
    else
        count "$name" 0 1
    fi
}

# The portable part may need of the C library only what every firmware has; clang makes bcmp of memcmp
# where there is one.
symbols() {
    needed=$(nm -u "$OBJECT" | sed 's/.* //' |
        grep -vE '^(memcpy|memmove|memset|memcmp|bcmp|strlen|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$')
    [ -z "$needed" ] || { echo "cmcwh.o needs:" $needed; return 1; }
}

# block PAPER N: the Nth block of C in a paper
block() {
    awk -v n="$2" '/^```/ { inside = /^```c$/; count += inside; next } inside && count == n' "$1"
}

# same PAPER N FILE: it is a file that is compiled.
same() {
    block "$1" "$2" | cmp - "$3"
}

# part PAPER N FILE: it stands in one.
part() {
    text=$(block "$1" "$2")
    case $(cat "$3") in
    *"$text"*) [ -n "$text" ] ;;
    *) echo "block $2 of $1 is not in $3" && return 1 ;;
    esac
}

readme() {
    part README.md 1 tests/embed/readme.c && same port/README.md 1 port/esp-idf/example.c &&
        same port/README.md 2 port/zephyr/example.c
}

# A ring is the same on every processor: this one was written on a big-endian MIPS.
golden() {
    "$GOLDEN" >"$log.golden" && cmp "$log.golden" tests/golden/big-endian.ring
    same=$?
    rm -f "$log.golden"
    return $same
}

# Each page names the options that --help names, and no other.
manual() {
    for command in serve cat check status summary test; do
        "$cmcwh" $command --help
    done | grep -o -e '--[a-z][a-z-]*' | sort -u >"$log.help"
    same=0
    for page in port/man/cmcwh.8 port/man/cmcwh.ja.8; do
        sed -n 's/^\.It Fl \(h , \)*-\([a-z-]*\).*/--\2/p' "$page" | sort -u | diff "$log.help" - || same=1
        ! command -v mandoc >/dev/null || mandoc -Tlint -Wwarning "$page" || same=1
    done
    rm -f "$log.help"
    return $same
}

CMOCKA_MESSAGE_OUTPUT=TAP LIMIT=600 sh "$here/programs.sh" "$folder" $(printf '%s\n' $programs | grep -v /embed/)
for program in $programs; do
    case $program in
    */embed/*) check "$(basename "$program")" "$program" ;;
    *) unit "$program" ;;
    esac
done
[ -n "${SANITIZE:-}" ] || check symbols symbols
check readme readme
check golden golden
[ "$cmcwh" = none ] || check manual manual
[ "$cmcwh" = none ] || check papers python3 tests/papers.py "$cmcwh"

integration() {
    name=$1
    shift
    python3 tests/integration/run.py --cmcwh "$cmcwh" "$@" >"$log" 2>&1
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    good=$(echo "$line" | sed 's/ .*//')
    bad=$(echo "$line" | sed 's/.*passed, \([0-9]*\).*/\1/')
    grep -E '^skipped |survived|0 lost' "$log"
    [ -n "$line" ] || { good=0; bad=1; }
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    count "$name" "$good" "$bad"
}

if [ "${INTEGRATION:-1}" != 0 ]; then
    integration integration "$@"
    case " $* " in
    *' --only '*) ;;
    *) integration hostile --hostile "$@" ;;
    esac
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
