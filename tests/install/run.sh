#!/bin/sh
# Installs with make and with CMake, and builds the README's program outside the tree against each
# in every way that is offered. Ends with `N passed, N failed`; what failed is shown.
set -u
MAKE=${MAKE:-make}
CC=${CC:-cc}
work=$(mktemp -d)
log=$work/log
user=$work/user
passed=0
failed=0
trap 'rm -rf "$work"' EXIT

check() { # check NAME COMMAND: a command that says what is wrong and fails
    name=$1
    shift
    (set -e; "$@") >"$log" 2>&1
    if [ $? -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        cat "$log"
    fi
}

runs() { # runs PROGRAM: it prints the event as the README says
    "$1" >"$work/said" || return 1
    grep -q '"seq":1,.*"to":"user@example.jp"' "$work/said"
}

# The header and the library, found by nothing but their place.
static() {
    $CC -DCMCWH_NO_SERVER "-I$prefix/include" "$user/readme.c" "$library/libcmcwh.a" -o "$work/static" &&
        runs "$work/static"
}

by_pkg_config() {
    flags=$(pkg-config --cflags --libs cmcwh) || return 1
    $CC "$user/readme.c" $flags "-Wl,-rpath,$library" -o "$work/shared" || return 1
    readelf -d "$work/shared" | grep -q 'NEEDED.*\[libcmcwh\.so\.[0-9]*\]' && runs "$work/shared"
}

by_pkg_config_static() {
    flags=$(pkg-config --static --cflags --libs cmcwh) || return 1
    $CC -static "$user/readme.c" $flags -o "$work/whole" && runs "$work/whole"
}

version() {
    [ "$(pkg-config --modversion cmcwh)" = "$(sed -n 's/^#define CMCWH_VERSION "\(.*\)"/\1/p' cmcwh.h)" ]
}

configure() { # configure VERSION
    rm -rf "$work/cmake"
    cmake -S "$user" -B "$work/cmake" -DCMAKE_C_COMPILER="$CC" -DWANTED="$1" \
        "-D$where"
}

by_cmake() {
    configure 0.1 && cmake --build "$work/cmake" && runs "$work/cmake/static" && runs "$work/cmake/shared" &&
        readelf -d "$work/cmake/shared" | grep -q 'NEEDED.*libcmcwh\.so\.'
}

other_versions() {
    for other in 0.0 0.1.99 0.2 0.10 1; do
        ! configure $other || return 1
        grep -q 'with requested version' "$log" || return 1
    done
}

# Of the shared library only what the header declares can be seen.
symbols() {
    nm -D --defined-only "$library/libcmcwh.so" | sed 's/.* //' | sort >"$work/symbols"
    [ -s "$work/symbols" ] && ! grep -v '^cmcwh_' "$work/symbols" || return 1
    while read -r symbol; do
        grep -q "[ *]$symbol(" "$prefix/include/cmcwh.h" || { echo "not declared: $symbol"; return 1; }
    done <"$work/symbols"
    ! readelf -d "$library/libcmcwh.so" | grep TEXTREL
}

pages() {
    cmp port/man/cmcwh.8 "$prefix/share/man/man8/cmcwh.8" &&
        cmp port/man/cmcwh.ja.8 "$prefix/share/man/ja/man8/cmcwh.8" || return 1
    for folder in onward prometheus; do
        diff -r "port/$folder" "$prefix/share/doc/cmcwh/examples/$folder" || return 1
    done
}

each_way() { # each_way NAME: uses what is in $prefix, whose libraries are in $library
    export PKG_CONFIG_PATH="$library/pkgconfig"
    check "$1: static" static
    check "$1: pkg-config, shared" by_pkg_config
    check "$1: pkg-config, static" by_pkg_config_static
    check "$1: pkg-config, version" version
    check "$1: find_package" by_cmake
    check "$1: find_package, other versions" other_versions
    check "$1: symbols" symbols
    check "$1: manual pages, examples" pages
}

install_make() {
    $MAKE install PREFIX="$prefix" LIBDIR="$library"
}

# A tree for a package or an image: its files name the places that they will have.
staged() {
    export PKG_CONFIG_PATH="$work/stage/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$work/stage"
    $MAKE install DESTDIR="$work/stage" PREFIX=/usr
    ! grep -r "$work" "$work/stage" || return 1
    $CC "$user/readme.c" $(pkg-config --cflags --libs cmcwh) "-Wl,-rpath,$work/stage/usr/lib" -o "$work/staged"
    runs "$work/staged"
    "$work/stage/usr/bin/cmcwh" --version
}

removed() {
    $MAKE uninstall DESTDIR="$work/stage" PREFIX=/usr
    ! find "$work/stage" ! -type d | grep . || return 1
    $MAKE uninstall PREFIX="$prefix" LIBDIR="$library"
    ! find "$prefix" ! -type d | grep .
}

install_cmake() {
    cmake -S . -B "$work/build" -DCMAKE_C_COMPILER="$CC" -DCMAKE_INSTALL_PREFIX="$prefix" -DCMCWH_DAEMON=OFF \
        -DCMCWH_TESTS=OFF -DCMAKE_INSTALL_LIBDIR=lib
    cmake --build "$work/build"
    cmake --install "$work/build"
}

mkdir "$user"
cp tests/install/project/CMakeLists.txt tests/embed/readme.c "$user"

prefix=$work/made library=$work/made/lib where=CMAKE_PREFIX_PATH=$prefix
check 'make install' install_make
each_way make
check 'make install with DESTDIR' staged
check 'make uninstall' removed
library=$prefix/lib/triplet where=cmcwh_DIR=$prefix/lib/triplet/cmake/cmcwh
check 'make install, LIBDIR' install_make
check 'make, LIBDIR: find_package' by_cmake
prefix=$work/cmade library=$work/cmade/lib where=CMAKE_PREFIX_PATH=$work/cmade
check 'cmake --install' install_cmake
each_way cmake

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
