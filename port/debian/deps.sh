#!/bin/sh
# deps.sh [test|clients|page|check|cross|bench|scale|machine|dist]: installs what is missing on Debian and Ubuntu, and
# gets the sources that are compiled in (civetweb; with TLS=mbedtls Mbed TLS) from the distribution's source packages. Says nothing when nothing is missing. The system's own configuration is
# not touched: source packages are looked up with a private copy of its list, and daemons that come with what is
# installed here neither start now nor with the system.
set -eu

SOURCE=${CIVETWEB_SRC:-build/deps/civetweb}
WORK=build/deps
MODE=${1:-}

# One list for each purpose. To build and run; musl-tools for the small static build.
BUILD="gcc libc6-dev make libjsmn-dev libssl-dev libmosquitto-dev dpkg-dev musl-tools curl"

# For `make test`.
TEST="libcmocka-dev binutils python3 python3-requests openssl socat mount mandoc rsyslog busybox haproxy nginx-light stunnel4
    prometheus python3-prometheus-client mosquitto mosquitto-clients sslscan testssl.sh"

# What the large ones of tests/client are made with and of, and a receiver in PHP. Tests that lack one of them are skipped.
CLIENTS="default-jdk-headless libhttpclient-java golang-go php-cli php-sqlite3"

# A browser for the status page, what Japanese is shown with, and what makes pictures of it small.
PAGE="chromium fonts-noto-cjk pngquant python3"

# For what looks at the sources, and builds and packs them in other ways.
CHECK="clang libclang-rt-dev libcjson-dev libjansson-dev libjson-c-dev clang-format clang-tidy cppcheck universal-ctags python3 cmake pkg-config
    busybox debhelper lintian ccache valgrind"

# To measure: JSON libraries and receivers of webhooks to compare with, a counter of instructions, plots.
BENCH="wrk g++ libcjson-dev libjansson-dev libjson-c-dev libsimdjson-dev valgrind gnuplot-nox librsvg2-bin
    python3 openssl webhook jq php-fpm php-cli nginx-light lighttpd gunicorn python3-flask
    mosquitto mosquitto-clients qemu-user rsyslog"

# The engines that tests/scale puts around several cmcwh.
SCALE="python3 openssl haproxy nginx-light libnginx-mod-http-lua rsyslog redis-server rabbitmq-server python3-pika"

# Compilers for other processors, something to run their programs, and what must be compiled for them.
CROSS="python3 openssl curl qemu-user-static gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
    gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
TARGETS="mips mipsel mips64el/gnuabi64 armel/gnueabi/arm armhf/gnueabihf/arm arm64//aarch64 riscv64 powerpc i386//i686"

# Whole machines, of several processors, and what makes their disks.
MACHINE="python3 openssl curl qemu-system-mips qemu-system-arm qemu-system-x86 qemu-utils mmdebstrap e2fsprogs f2fs-tools
    mtd-utils cpio kmod rsyslog"

# To pack a release and to try it: in trees of other processors, in containers, against the schema of its bill of materials.
DIST="python3 openssl curl qemu-user-static debhelper lintian mandoc cpio busybox debootstrap mmdebstrap proot buildah
    podman runc python3-jsonschema"

unless_here() { # unless_here COMMAND PACKAGE: a Node.js that is not Debian's will do
    command -v "$1" >/dev/null || echo "$2"
}

case $MODE in
'') PACKAGES=$BUILD ;;
test) PACKAGES="$BUILD $TEST" ;;
clients) PACKAGES="$BUILD $CLIENTS $(unless_here node nodejs)" ;;
page) PACKAGES="$BUILD $PAGE $(unless_here node nodejs) $(unless_here npm npm)" ;;
check) PACKAGES="$BUILD $CHECK" ;;
bench) PACKAGES="$BUILD $BENCH $(unless_here node nodejs) $(unless_here npm npm)" ;;
scale) PACKAGES="$BUILD $SCALE" ;;
cross | machine | dist)
    PACKAGES="$BUILD $CROSS"
    [ "$MODE" != machine ] || PACKAGES="$PACKAGES $MACHINE"
    [ "$MODE" != dist ] || PACKAGES="$PACKAGES $DIST $(unless_here node nodejs) $(unless_here npm npm)"
    for target in $TARGETS; do
        arch=${target%%/*} abi=$(echo "$target/" | cut -d/ -f2) cpu=$(echo "$target//" | cut -d/ -f3)
        PACKAGES="$PACKAGES gcc-${cpu:-$arch}-linux-${abi:-gnu} libc6-dev-$arch-cross"
    done
    ;;
*)
    echo "deps: there is no '$MODE'" >&2
    exit 2
    ;;
esac

say() {
    echo "deps: $*" >&2
}

# Several packages at once, in one query: quick when nothing is missing.
missing_packages() {
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $PACKAGES 2>/dev/null |
        sed -n 's/^installed //p')
    for package in $PACKAGES; do
        case "
$have
" in *"
$package
"*) ;; *) echo "$package" ;; esac
    done
}

have_civetweb() {
    [ -f "$SOURCE/src/civetweb.c" ] && [ -f "$SOURCE/include/civetweb.h" ]
}

check_civetweb() {
    version=$(sed -n 's/^#define CIVETWEB_VERSION "\(.*\)"/\1/p' "$SOURCE/include/civetweb.h")
    case $version in
    1.15* | 1.16*) ;;
    *)
        say "civetweb in $SOURCE is version '$version'; 1.15 and 1.16 are known to work."
        exit 1
        ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "installing needs root, and there is no sudo. As root: apt-get install --no-install-recommends" $missing
        exit 1
    fi
}

# Run by root: installs packages, and keeps the daemons among what is new from starting, now (policy-rc.d) and with
# the system. What was there before is left as it is, and so is a base system that comes with them.
install_quietly() {
    cat <<'ROOT'
set -eu
log=$1 policy=/usr/sbin/policy-rc.d
shift
list() { dpkg-query -W -f '${db:Status-Status} ${binary:Package} ${Package} ${Priority}\n' | sed -n 's/^installed //p'; }
# is_in WORD LIST
is_in() { case " $(echo $2) " in *" $1 "*) ;; *) return 1 ;; esac; }
before=$(list | cut -d' ' -f1)
apt-get update -qq
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1
list | while read -r full package priority; do
    ! is_in "$full" "$before" || continue
    is_in "$package" "$*" || [ "$priority" = optional ] || continue
    # The helper that enabled them wants to know for whom; it needs no systemd, which may come later.
    export DPKG_MAINTSCRIPT_PACKAGE="$package"
    for unit in $(dpkg -L "$full" | sed -n 's|^\(/usr\)\{0,1\}/lib/systemd/system/\([^/]*\.[a-z]*\)$|\2|p'); do
        deb-systemd-helper disable "$unit" >>"$log" 2>&1 || true
    done
    for script in $(dpkg -L "$full" | sed -n 's|^/etc/init\.d/||p'); do
        update-rc.d "$script" disable >>"$log" 2>&1 || true
    done
done
ROOT
}

install_packages() {
    [ "$(id -u)" -eq 0 ] || say "installing needs root"
    say "installing" $missing
    as_root sh -c "$(install_quietly)" install "$PWD/$WORK/install.log" $missing || {
        say "apt-get could not install them:"
        tail -n 5 "$WORK/install.log" >&2
        exit 1
    }
}

# apt_private TOOL ARGUMENTS: apt-get or apt-cache, with lists of its own.
apt_private() {
    tool=$1
    shift
    "$tool" -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$APT/sources.d" \
        -o Dir::State::lists="$APT/lists" -o Dir::Cache="$APT/cache" -o APT::Sandbox::User=root "$@"
}

# apt_begin TYPE LOG OPTION...: makes such lists, of the system's own entries, as deb-src or deb. An entry of somebody
# else that has none makes the update fail: what counts is whether a package can be had.
apt_begin() {
    rm -rf "$WORK/apt"
    mkdir -p "$WORK/apt/sources.d" "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial"
    APT=$(cd "$WORK/apt" && pwd)
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n "s/^[[:space:]]*deb\([[:space:]]\)/$1\1/p" "$file"
    done >"$APT/sources.d/lines.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        sed "s/^Types:.*/Types: $1/" "$file" >"$APT/sources.d/$(basename "$file")"
    done
    log=$2
    shift 2
    apt_private apt-get "$@" update >"$log" 2>&1 || true
}

# get_source NAME: the distribution's source package, unpacked in $WORK/NAME.
get_source() {
    say "getting $1's source package"
    rm -rf "$WORK/${1:?}" "$WORK/download"
    mkdir -p "$WORK/download"
    apt_begin deb-src "$WORK/source.log"
    (cd "$WORK/download" && apt_private apt-get source --download-only "$1") >>"$WORK/source.log" 2>&1 &&
        dpkg-source --no-check -x "$WORK/download/$1"_*.dsc "$WORK/$1" >>"$WORK/source.log" 2>&1 || {
        say "$1's source package could not be had:"
        tail -n 5 "$WORK/source.log" >&2
        [ "$1" != civetweb ] ||
            say "get civetweb 1.15 or 1.16 in another way and name it: make CIVETWEB_SRC=PATH"
        exit 1
    }
    rm -rf "$WORK/apt" "$WORK/download" "$WORK/$1"_*
}

# The kernel that Debian's package NAME stands for now.
kernel_of() {
    apt_private apt-cache $FOREIGN depends "$1" | sed -n 's/.*Depends: linux-image-\([0-9][^:]*\).*/\1/p'
}

# unpack FOLDER PACKAGE...: Debian packages of another architecture. What the libraries among them say of their symbols
# stands where dpkg-shlibdeps -S finds it.
unpack() {
    folder=$1
    shift
    rm -rf "$folder" "$WORK/download"
    mkdir -p "$folder/DEBIAN" "$WORK/download"
    (cd "$WORK/download" && apt_private apt-get $FOREIGN download "$@") >>"$WORK/foreign.log" 2>&1 || return 1
    for package in "$WORK/download"/*.deb; do
        dpkg-deb -x "$package" "$folder" || return 1
        dpkg-deb -I "$package" symbols >>"$folder/DEBIAN/symbols" 2>/dev/null || true
    done
    printf '%s\n' "$@" >"$folder/packages"
}

# unpack_machine ARCH PACKAGE...: in $WORK/machine/ARCH; of a kernel, without most of what an emulated board has not.
unpack_machine() {
    machine=$WORK/machine/$1
    shift
    unpack "$machine" "$@" || return 1
    for modules in "$machine"/lib/modules/*; do
        (cd "$modules/kernel" && rm -rf sound net/wireless net/bluetooth drivers/gpu drivers/media drivers/infiniband \
            drivers/net/wireless drivers/usb drivers/staging drivers/iio) && depmod -b "$machine" "${modules##*/}" || return 1
    done
}

# foreign_begin ARCHITECTURE...: lists of packages of these, beside those of this machine.
foreign_begin() {
    native=$(dpkg --print-architecture)
    FOREIGN="-o APT::Architectures=$native,$(echo "$@" | tr ' ' ,)"
    apt_begin deb "$WORK/foreign.log" $FOREIGN
}

foreign_failed() {
    say "they could not be had:"
    tail -n 5 "$WORK/foreign.log" >&2
    exit 1
}

# Kernels and busybox of other processors; for one kernel what a module of tests/machine is compiled with.
get_machines() {
    say "getting kernels for emulated machines"
    foreign_begin mipsel arm64
    malta=$(kernel_of linux-image-4kc-malta:mipsel) arm64=$(kernel_of linux-image-arm64:arm64)
    [ -n "$malta" ] && [ -n "$arm64" ] &&
        unpack_machine mipsel "linux-image-$malta:mipsel" "linux-headers-$malta:mipsel" busybox-static:mipsel \
            "linux-headers-${malta%-4kc-malta}-common:all" "linux-kbuild-$(echo "$malta" | cut -d. -f1,2):$native" &&
        unpack_machine arm64 "linux-image-$arm64:arm64" busybox-static:arm64 || foreign_failed
    rm -rf "$WORK/apt" "$WORK/download"
}

# What a Debian package for another architecture is linked with.
get_foreign() {
    say "getting libraries of other architectures"
    foreign_begin arm64 armhf
    for architecture in arm64 armhf; do
        unpack "$WORK/foreign/$architecture" $(for package in libc6 libssl-dev libssl3 libmosquitto-dev libmosquitto1 \
            libcjson1; do echo $package:$architecture; done) || foreign_failed
    done
    rm -rf "$WORK/apt" "$WORK/download"
}

# A whole Debian, for the package of cmcwh.
get_debian() {
    say "making a Debian for an emulated machine"
    mkdir -p "$WORK/machine/debian"
    as_root sh tests/machine/debian.sh "$WORK/machine/debian"
}

# get_npm NAME PACKAGE_JSON: what this names, in $WORK/NAME/node_modules.
get_npm() {
    ! cmp -s "$2" "$WORK/$1/package.json" || return 0
    say "getting npm packages for $1"
    rm -rf "${WORK:?}/$1" "$WORK/$1.new"
    mkdir -p "$WORK/$1.new"
    cp "$2" "$WORK/$1.new/package.json"
    (cd "$WORK/$1.new" && npm install --omit=dev --no-package-lock --ignore-scripts --no-audit --no-fund) \
        >"$WORK/$1.log" 2>&1 || {
        say "npm could not get them:"
        tail -n 5 "$WORK/$1.log" >&2
        exit 1
    }
    mv "$WORK/$1.new" "$WORK/$1"
}

# Not Debian: say what is needed, fail only when something is missing.
elsewhere() {
    lacking= commands="cc curl" headers="jsmn.h openssl/ssl.h"
    [ "$MODE" != test ] || commands="$commands python3 openssl socat" headers="$headers cmocka.h"
    for command in $commands; do
        command -v $command >/dev/null || lacking="$lacking $command"
    done
    for header in $headers; do
        printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <%s>\n' $header |
            cc -E -x c - >/dev/null 2>&1 || lacking="$lacking <$header>"
    done
    have_civetweb || lacking="$lacking civetweb"
    [ -n "$lacking" ] || return 0
    say "this system has no apt-get; still missing:$lacking"
    say "to build: a C compiler, jsmn 1.1.0 (one header), OpenSSL 3 (or TLS=0), libmosquitto 2 (or MQTT=0),"
    say "and civetweb's source, 1.15 or 1.16, named with CIVETWEB_SRC=PATH (src/civetweb.c and include/civetweb.h in it)"
    say "to test: cmocka, curl, socat, rsyslog, Python 3"
    exit 1
}

mkdir -p "$WORK"
if command -v flock >/dev/null; then # several may be asked for at once
    exec 9>"$WORK/lock"
    flock 9
fi
if ! command -v apt-get >/dev/null; then
    elsewhere
else
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages
    have_civetweb || get_source civetweb
    [ "${TLS:-}" != mbedtls ] || [ -d "$WORK/mbedtls/library" ] || get_source mbedtls
    if [ "$MODE" = cross ] || [ "$MODE" = machine ] || [ "$MODE" = dist ]; then
        [ -d "$WORK/mbedtls/library" ] || get_source mbedtls
        [ -d "$WORK/musl/src" ] || get_source musl
        [ -f "$WORK/cmocka/src/cmocka.c" ] || get_source cmocka
        [ -f "$WORK/lwip/src/core/tcp.c" ] || get_source lwip
    fi
    [ "$MODE" != machine ] || [ -f "$WORK/machine/arm64/packages" ] || get_machines
    [ "$MODE" != machine ] || [ "$WORK/machine/debian/disk" -nt tests/machine/debian.sh ] || get_debian
    [ "$MODE" != dist ] || [ -f "$WORK/foreign/armhf/packages" ] || get_foreign
    # For compilers that do not look into the system's include directory, and must not.
    mkdir -p "$WORK/include"
    cmp -s /usr/include/jsmn.h "$WORK/include/jsmn.h" || cp /usr/include/jsmn.h "$WORK/include/"
fi
[ "$MODE" != bench ] || get_npm express tests/bench/peers/package.json
[ "$MODE" != page ] || get_npm page tests/page/package.json
[ "$MODE" != dist ] || get_npm sbom tests/dist/package.json
check_civetweb
