#!/bin/sh
# dist.sh [TARGET...]: what a release consists of, in DIST_OUT (build/dist), which is emptied first: all of it, or TARGETs
# only. Twice the same sources and the same tools give the same bytes. Says how long each took.
set -eu
unset CC CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS MAKELEVEL MFLAGS TLS HTTP MQTT
export LC_ALL=C TZ=UTC0
umask 022
. port/dist/release.sh

OUT=${DIST_OUT:-build/dist}
WORK=$OUT.work
PROCESSORS="mips mipsel mips64el armel armhf aarch64 riscv64 powerpc i686 x86_64"
DEBS="amd64 arm64 armhf"
IMAGES="amd64 arm64 arm"
# OpenWrt's names.
ROUTERS="mipsel_24kc mips_24kc arm_cortex-a7 aarch64_generic aarch64_cortex-a53"

targets() { # all there are
    echo source manual
    for processor in $PROCESSORS; do echo "$processor $processor-notls"; done
    for architecture in $DEBS; do echo "deb-$architecture"; done
    for router in $ROUTERS; do echo "ipk-$router ipk-$router-notls"; done
    for image in $IMAGES; do echo "oci-$image"; done
}

# ---- Programs ----

compiler() { # compiler PROCESSOR: what the names of its compiler begin with
    case $1 in
    mips64el) echo mips64el-linux-gnuabi64 ;;
    armel) echo arm-linux-gnueabi ;;
    armhf) echo arm-linux-gnueabihf ;;
    *) echo "$1-linux-gnu" ;;
    esac
}

# program PROCESSOR mbedtls|0 [FLAGS]: makes $WORK/bin/PROCESSOR-KIND/cmcwh, static and stripped, with all that needs no
# shared library, unless it is there.
program() {
    tool=$(compiler "$1") settings="SMALL=1 HTTP=1 TOOLS=1 TLS=$2" folder=$WORK/bin/$1-$2${3:-}
    [ ! -f "$folder/cmcwh" ] || return 0
    need "$tool-gcc" "$tool's gcc"
    make -s musl TARGET="$tool" >"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
    set -- CROSS_COMPILE="$tool-" $settings CPPFLAGS="${3:-}" CIVETWEB_SRC="$CIVETWEB" MBEDTLS_SRC="$MBEDTLS" \
        JSMN_INCLUDE="$(dirname "$JSMN")"
    built=$(make -s "$@" show-out)/cmcwh
    make -s -j"$(nproc)" "$@" "$built" >"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
    mkdir -p "$folder"
    "$tool-strip" -o "$folder/cmcwh" "$built"
}

# licences mbedtls|0: of what a program of that kind contains.
licences() {
    if [ "$1" = mbedtls ]; then notices musl mbedtls; else notices musl; fi
}

binary() { # binary PROCESSOR mbedtls|0
    name=cmcwh-$version-linux-$1
    [ "$2" != 0 ] || name=$name-notls
    program "$1" "$2"
    mkdir "$WORK/$name"
    install -m 755 "$WORK/bin/$1-$2/cmcwh" "$WORK/$name/cmcwh"
    install -m 644 port/man/cmcwh.8 port/man/cmcwh.ja.8 "$WORK/$name/"
    licences "$2" >"$WORK/$name/LICENSES"
    pack "$WORK" "$name" >"$OUT/$name.tar.gz"
}

# ---- Packages ----

# ipk PACKAGE PROCESSOR mbedtls|0 OPENWRT_NAME [FLAGS]: the feed's files and rules, with the static program: an archive of
# archives in which nothing tells when or by whom it was made.
ipk() {
    tree=$WORK/ipk-$4-$3
    program "$2" "$3" "${5:-}"
    make -s -C port/openwrt TOPDIR="$PWD/port/dist/openwrt" "$1" IDIR="$(realpath "$WORK")/ipk-$4-$3/data" \
        PKG_BUILD_DIR="$(realpath "$WORK/bin/$2-$3${5:-}")" PKGARCH="$4" \
        EXTRA_LICENSE="$([ "$3" = 0 ] || mbedtls_terms)"
    mkdir -p "$tree/data/usr/share/licenses"
    licences "$3" >"$tree/data/usr/share/licenses/cmcwh"
    mv "$tree/data/CONTROL" "$tree/control"
    PACK_DATE=0
    pack "$tree/data" . >"$tree/data.tar.gz"
    sed -i "s/@SIZE@/$(zcat "$tree/data.tar.gz" | wc -c)/" "$tree/control/control"
    pack "$tree/control" . >"$tree/control.tar.gz"
    echo 2.0 >"$tree/debian-binary"
    pack "$tree" ./debian-binary ./control.tar.gz ./data.tar.gz \
        >"$OUT/$1_$(sed -n 's/^Version: //p' "$tree/control/control")_$4.ipk"
    unset PACK_DATE
}

# Which program a router gets. Those with a Cortex-A7 need not have a floating-point unit; ARMv7 they are.
router() { # router OPENWRT_NAME mbedtls|0
    package=cmcwh-mbedtls flags=
    [ "$2" != 0 ] || package=cmcwh-notls
    case $1 in
    mipsel_* | mips_*) processor=${1%%_*} ;;
    arm_*) processor=armel flags=-march=armv7-a ;;
    aarch64_*) processor=aarch64 ;;
    esac
    ipk $package $processor "$2" "$1" $flags
}

deb() { # deb ARCHITECTURE
    OUT=$WORK/deb-$1 sh port/debian/package.sh "$1" >"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
    for file in "$WORK/deb-$1"/*.deb; do
        case $file in *-dbgsym_*) ;; *) cp "$file" "$OUT/" ;; esac
    done
}

# An image for docker, podman and the boxes that have one of them. Nothing runs while it is built, so that any processor's
# can be built here.
image() { # image amd64|arm64|arm
    need buildah buildah
    platform=linux/$1
    case $1 in
    amd64) processor=x86_64 ;;
    arm64) processor=aarch64 ;;
    arm) processor=armhf platform=linux/arm/v7 ;;
    esac
    program $processor mbedtls
    tree=$WORK/oci-$1
    mkdir -p "$tree/files/data"
    cp "$WORK/bin/$processor-mbedtls/cmcwh" "$tree/files/"
    licences mbedtls >"$tree/files/LICENSES"
    BUILDAH="buildah --storage-driver vfs --root $(realpath "$tree")/store --runroot $(realpath "$tree")/run"
    {
        $BUILDAH build --isolation chroot --format docker --timestamp "$SOURCE_DATE_EPOCH" --platform "$platform" \
            --tag "cmcwh:$version" --file port/oci/Containerfile "$tree/files" &&
            $BUILDAH push "cmcwh:$version" "docker-archive:$tree/image:cmcwh:$version"
    } >"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
    python3 port/dist/image.py "$tree/image" "$OUT/cmcwh-$version-oci-$1.tar"
}

# ---- Papers ----

# What git knows of, as it is now; without git, all but what is built.
sources() {
    if [ -e .git ]; then
        git ls-files
    else
        find . -path ./build -prune -o ! -type d ! -path ./cmcwh ! -path ./libcmcwh.a ! -path '*/__pycache__/*' -print |
            sed 's|^\./||' | sort
    fi
}

source_archive() {
    name=cmcwh-$version
    mkdir -p "$WORK/source/$name"
    sources | cpio -pdm --quiet "$WORK/source/$name"
    chmod -R u=rwX,go=rX "$WORK/source/$name"
    pack "$WORK/source" "$name" >"$OUT/$name.tar.gz"
}

manual() {
    need mandoc mandoc
    for language in en ja; do
        name=cmcwh.8
        [ $language = en ] || name=cmcwh.$language.8
        mandoc -K utf-8 -T html port/man/$name | sed "s/^<html>/<html lang=\"$language\">/" >"$OUT/$name.html"
    done
}

target() {
    case $1 in
    source) source_archive ;;
    manual) manual ;;
    deb-*) deb "${1#deb-}" ;;
    ipk-*-notls) name=${1#ipk-} && router "${name%-notls}" 0 ;;
    ipk-*) router "${1#ipk-}" mbedtls ;;
    oci-*) image "${1#oci-}" ;;
    *-notls) binary "${1%-notls}" 0 ;;
    *) binary "$1" mbedtls ;;
    esac
}

known=" $(echo $(targets)) "
[ $# -gt 0 ] || set -- $known
for wanted; do
    case $known in *" $wanted "*) ;; *)
        echo "dist: there is no '$wanted'; there are:$known" >&2
        exit 2
        ;;
    esac
done
rm -rf "$OUT" "$WORK"
mkdir -p "$OUT" "$WORK"
for wanted; do
    begin=$(date +%s)
    target "$wanted"
    printf '%4d s  %s\n' $(($(date +%s) - begin)) "$wanted"
done
python3 port/dist/sbom.py "$OUT" >"$WORK/sbom" && mv "$WORK/sbom" "$OUT/cmcwh-$version.cdx.json"
(cd "$OUT" && sha256sum -- * >"$OLDPWD/$WORK/sums") && mv "$WORK/sums" "$OUT/SHA256SUMS"
