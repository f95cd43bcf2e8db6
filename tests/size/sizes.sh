#!/bin/sh
# sizes.sh check|update TARGET...: how many bytes the portable part (text, without server) and the static daemon (the
# stripped file) take for each target whose musl is here. Each figure must be within 1 % of the one in sizes.txt; update
# writes it there. And what the daemon takes of memory, where it runs without an emulator.
set -u
here=$(dirname "$0")
known=$here/sizes.txt
mode=$1
shift
faults=0 made=build/sizes
new=$made/sizes.txt
unset MAKEFLAGS MAKEOVERRIDES MFLAGS
mkdir -p $made
cp "$known" $new

# The figure of a row, and whether it is what is known.
figure() { # figure TARGET WHAT BYTES
    printf ' %10d' "$3"
    old=$(awk -v target="$1" -v what="$2" '$1 == target && $2 == what { print $3 }' "$known")
    if [ "$mode" = update ]; then
        awk -v target="$1" -v what="$2" '!($1 == target && $2 == what)' $new >$new.rest
        { cat $new.rest && echo "$1 $2 $3"; } >$new
    elif [ $((100 * $3)) -gt $((101 * ${old:-0})) ] || [ $((100 * $3)) -lt $((99 * ${old:-0})) ]; then
        echo "$1, $2: $3 bytes, and sizes.txt says ${old:-nothing}" >>$made/faults
    fi
}

daemon() { # daemon TARGET WHAT VARIABLE=VALUE...
    target=$1 what=$2
    shift 2
    out=$(make -s SMALL=1 CROSS_COMPILE="$target-" "$@" show-out)
    make -s -j"$(nproc)" SMALL=1 CROSS_COMPILE="$target-" "$@" "$out/cmcwh" >"$out.log" 2>&1 || {
        tail -n 5 "$out.log"
        exit 1
    }
    case $target in # of processors without an FPU
    mips-* | mipsel-* | arm-linux-gnueabi) sh "$here/float.sh" "$target-" "$out/cmcwh" 2>>$made/faults ;;
    esac
    "$target-strip" -o "$made/$target-$what" "$out/cmcwh"
    figure "$target" "$what" "$(stat -c %s "$made/$target-$what")"
}

: >$made/faults
echo "bytes; SMALL=1, static, with musl, without TLS"
printf '%-24s %10s %10s %10s %10s\n' '' 'portable' 'HTTP TOOLS' 'SMALL=1' 'ADMIN=0'
for target; do
    if [ ! -x "build/deps/musl-$target/bin/musl-gcc" ]; then
        echo "$target: skipped, its musl is missing: run 'make musl TARGET=$target'"
        continue
    fi
    printf '%-24s' "$target"
    out=$(make -s SMALL=1 CROSS_COMPILE="$target-" show-out)
    make -s SMALL=1 CROSS_COMPILE="$target-" "$out/cmcwh-embedded.o" >"$out.log" 2>&1
    figure "$target" portable "$("$target-size" "$out/cmcwh-embedded.o" | awk 'END { print $1 }')"
    daemon "$target" whole HTTP=1 TOOLS=1
    daemon "$target" small
    daemon "$target" least ADMIN=0
    echo
    [ "${target%%-*}" != "$(uname -m)" ] || native=$target
done
for what in whole small least; do
    [ -z "${native:-}" ] || echo "$native, $what: $(python3 "$here/resident.py" "$made/$native-$what")"
done
if [ "$mode" = update ]; then
    sort $new >"$known"
    exit
fi
[ ! -s $made/faults ] || {
    cat $made/faults
    echo "if it is meant to be so: make sizes-update"
    exit 1
}
