#!/bin/sh
# build.sh TARGET...: musl for these targets, by Debian's names for their compilers (mipsel-linux-gnu), from the source
# that MUSL_SRC names, into build/deps/musl-TARGET. bin/musl-gcc there compiles and links with it: one static file. What
# is there and made of the same is left as it is. The folder may be moved.
set -eu
SOURCE=${MUSL_SRC:-build/deps/musl}
WORK=$PWD/build/deps
# The program is one file at a fixed address, and nothing unwinds it.
FLAGS="-Os -fno-pie -fno-asynchronous-unwind-tables -fno-unwind-tables"

say() {
    echo "musl: $*" >&2
}

# What is compiled for a router with this processor: most of those with MIPS have no FPU. Of PowerPC musl knows one of
# two kinds of long double.
processor() {
    case $1 in
    mips-* | mipsel-*) echo "-march=24kc -msoft-float" ;;
    powerpc-*) echo "-mlong-double-64" ;;
    esac
}

# What compiles musl. MIPS16, half the size, is for what has no instruction that it lacks (the assembler says so), and
# need not be fast.
compiler() { # compiler COMPILER TARGET
    echo '#!/bin/sh'
    case $2 in
    mips-* | mipsel-*)
        echo "case \$* in */src/string/*) ;; *' -c '*.c) $1 -mips16 \"\$@\" 2>/dev/null && exit ;; esac"
        ;;
    esac
    echo "exec $1 \"\$@\""
}

# The folder below which this compiler finds a header of the kernel.
kernel() { # kernel COMPILER HEADER
    echo "#include <$2>" | "$1" -E -x c - | sed -n "s|^# 1 \"\\(.*\\)/$2\".*|\\1|p" | sed -n 1p
}

# Gives gcc the headers, the start files and the library of the folder that it stands in. libgcc is of a processor with
# an FPU where ours has none, and so are the start files of gcc: tests/size/float.sh says whether that is harmless.
wrapper() { # wrapper COMPILER FLAGS
    cat <<END
#!/bin/sh
here=\${0%/*}/..
exec $1 $2 -nostdinc -isystem "\$here/include" -isystem "$("$1" -print-file-name=include)" -B "\$here/lib/" -static \\
    ${2:+-Wl,--no-warn-mismatch }"\$@"
END
}

# One after the other, each with all processors.
build() { # build TARGET COMPILER
    folder=$WORK/musl-$1 new=$WORK/musl-$1.new flags=$(processor "$1")
    made_of="musl $(cat "$SOURCE/VERSION"), $("$2" --version | sed -n 1p), $FLAGS, $(compiler "$2" "$1"), $(wrapper "$2" "$flags")"
    [ "$made_of" != "$(cat "$folder/made-of" 2>/dev/null)" ] || return 0
    say "building it for $1"
    rm -rf "$new"
    mkdir -p "$new/build"
    (
        cd "$new/build"
        compiler "$2" "$1" >cc
        chmod 755 cc
        CFLAGS="$FLAGS $flags" "$musl/configure" --prefix="$new" --target="$1" CC="$PWD/cc" CROSS_COMPILE="${2%gcc}" \
            --disable-shared --disable-wrapper
        make -j"$(nproc)" install
    ) >"$new.log" 2>&1 || { say "it could not be built for $1:" && tail -n 5 "$new.log" >&2 && exit 1; }
    for header in linux/types.h asm/types.h asm-generic/types.h; do
        ln -s "$(kernel "$2" "$header")/${header%/*}" "$new/include/${header%/*}"
    done
    mkdir "$new/bin"
    wrapper "$2" "$flags" >"$new/bin/musl-gcc"
    chmod 755 "$new/bin/musl-gcc"
    echo 'int main(void) { return 0; }' | "$new/bin/musl-gcc" -x c - -o "$new/build/works"
    rm -rf "$new/build" "$folder"
    echo "$made_of" >"$new/made-of"
    mv "$new" "$folder"
    rm -f "$new.log"
}

test -f "$SOURCE/configure" || { say "its source is not at '$SOURCE': run 'make cross-deps', or name a copy with MUSL_SRC=PATH"; exit 1; }
musl=$(cd "$SOURCE" && pwd)
unset MAKEFLAGS MAKEOVERRIDES MFLAGS CC CFLAGS CPPFLAGS LDFLAGS CROSS_COMPILE
mkdir -p "$WORK"
if command -v flock >/dev/null; then # it may be asked for twice at once
    exec 9>"$WORK/musl.lock"
    flock 9
fi
for target; do
    if command -v "$target-gcc" >/dev/null; then
        build "$target" "$target-gcc"
    elif [ $# -gt 1 ]; then
        say "skipped for $target, $target-gcc is missing: run 'make cross-deps'"
    else
        say "the compiler $target-gcc is missing: run 'make cross-deps'"
        exit 1
    fi
done
