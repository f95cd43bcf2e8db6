#!/bin/sh
# make size: how large the portable part (without server) and the static daemon are, for each target whose
# compiler is here, built with SMALL=1; and what the daemon takes of memory.
set -u
TARGETS="mips-linux-gnu mipsel-linux-gnu mips64el-linux-gnuabi64 arm-linux-gnueabi arm-linux-gnueabihf
    aarch64-linux-gnu riscv64-linux-gnu powerpc-linux-gnu i686-linux-gnu x86_64-linux-gnu x86_64-linux-musl"
bytes() { size "$1" | tail -n 1 | awk '{ printf "%7d %6d %7d", $1, $2, $3 }'; }

echo "$(date +%F), SMALL=1, static, without TLS; bytes"
echo "                          portable: text   data     bss   daemon: text   data     bss    file"
for target in $TARGETS; do
    case $target in
    *-musl) compiler=musl-gcc settings="CC=musl-gcc STATIC=1 TLS=0" strip=strip ;;
    *) compiler=${target}-gcc settings="CROSS_COMPILE=$target-" strip=$target-strip ;;
    esac
    command -v "$compiler" >/dev/null || { echo "$target: skipped, $compiler is missing: run 'make cross-deps'"; continue; }
    out=$(make -s SMALL=1 $settings show-out)
    make -s SMALL=1 $settings "$out/cmcwh" "$out/cmcwh-embedded.o" >"$out.log" 2>&1 || { tail -n 5 "$out.log"; exit 1; }
    $strip -o "$out/stripped" "$out/cmcwh"
    printf '%-24s          %s        %s %7d\n' "$target" "$(bytes "$out/cmcwh-embedded.o")" \
        "$(bytes "$out/stripped")" "$(stat -c %s "$out/stripped")"
done
[ ! -x "$out/stripped" ] || echo "$target $(python3 tests/size/resident.py "$out/stripped")"
! command -v musl-gcc >/dev/null || sh tests/size/admin.sh 40960
out=$(make -s show-out)
echo "with TLS, not static: $(bytes "$out/cmcwh"); $(python3 tests/size/resident.py "$out/cmcwh")"
echo "on small processors: make firmware-check"
