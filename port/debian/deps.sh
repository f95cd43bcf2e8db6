#!/bin/sh
# make deps: installs what building and testing need on Debian and Ubuntu, and gets civetweb's source
# from the distribution's source package. Says nothing when nothing is missing. The system's own
# configuration is not touched: source packages are looked up with a private copy of its list.
set -eu

SOURCE=${CIVETWEB_SRC:-build/deps/civetweb}
WORK=build/deps

# To build; to test and measure; to check the sources.
PACKAGES="gcc libc6-dev make libjsmn-dev libssl-dev dpkg-dev ca-certificates
    libcmocka-dev libjansson-dev libcjson-dev libjson-c-dev binutils pkg-config mandoc curl socat rsyslog openssl python3 wrk cmake
    haproxy nginx-light stunnel4 busybox debhelper lintian
    clang clang-format clang-tidy cppcheck universal-ctags libclang-rt-dev"

# `deps.sh cross`: compilers for other processors, something to run their programs, and what must be
# compiled for them.
CROSS="mips mipsel mips64el/gnuabi64 armel/gnueabi/arm armhf/gnueabihf/arm arm64//aarch64 riscv64 powerpc i386//i686"
if [ "${1:-}" = cross ]; then
    PACKAGES="$PACKAGES musl-tools qemu-user-static gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
        gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
    for target in $CROSS; do
        arch=${target%%/*} abi=$(echo "$target/" | cut -d/ -f2) cpu=$(echo "$target//" | cut -d/ -f3)
        PACKAGES="$PACKAGES gcc-${cpu:-$arch}-linux-${abi:-gnu} libc6-dev-$arch-cross"
    done
fi

# `deps.sh bench`: JSON libraries and receivers of webhooks to compare with, a counter of instructions, plots.
# A Node.js that is not Debian's will do.
BENCH="g++ libsimdjson-dev valgrind gnuplot-nox librsvg2-bin
    webhook jq php-fpm php-cli nginx-light lighttpd gunicorn python3-flask musl-tools"
if [ "${1:-}" = bench ]; then
    PACKAGES="$PACKAGES $BENCH"
    for command in node/nodejs npm/npm; do
        command -v "${command%/*}" >/dev/null || PACKAGES="$PACKAGES ${command#*/}"
    done
fi

# `deps.sh test`: what the senders of tests/client are made with and of, beside those above. A Node.js
# that is not Debian's will do.
if [ "${1:-}" = test ]; then
    PACKAGES="$PACKAGES default-jdk-headless libhttpclient-java golang-go python3-requests"
    command -v node >/dev/null || PACKAGES="$PACKAGES nodejs"
fi

# `deps.sh scale`: the engines that tests/scale puts around several cmcwh, beside those above.
if [ "${1:-}" = scale ]; then
    PACKAGES="$PACKAGES redis-server python3-redis"
fi

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
        say "must be root to install. As root: apt-get install" $missing
        exit 1
    fi
}

install_packages() {
    say "installing" $missing
    as_root apt-get update -qq
    # A package whose daemon would be started (rsyslog, redis) must not start it here.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq \
        --no-install-recommends $missing >"$WORK/install.log" 2>&1 || {
        say "apt-get could not install them:"
        tail -n 5 "$WORK/install.log" >&2
        exit 1
    }
}

# The distribution's own entries, with source packages. An entry of somebody else that has none
# would make the update fail.
private_sources() {
    mkdir -p "$WORK/apt/sources.d"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n 's/^[[:space:]]*deb\([[:space:]]\)/deb-src\1/p' "$file"
    done >"$WORK/apt/sources.d/lines.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        sed 's/^Types:.*/Types: deb-src/' "$file" >"$WORK/apt/sources.d/$(basename "$file")"
    done
}

apt_private() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$APT/sources.d" \
        -o Dir::State::lists="$APT/lists" -o Dir::Cache="$APT/cache" -o APT::Sandbox::User=root "$@"
}

# get_source NAME: the distribution's source package, unpacked in $WORK/NAME.
get_source() {
    say "getting $1's source package"
    rm -rf "$WORK/apt" "$WORK/${1:?}" "$WORK/download"
    mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial" "$WORK/download"
    APT=$(cd "$WORK/apt" && pwd)
    private_sources
    apt_private update >"$WORK/source.log" 2>&1 || true # others' entries may fail: what counts comes next
    (cd "$WORK/download" && apt_private source --download-only "$1") >>"$WORK/source.log" 2>&1 &&
        dpkg-source --no-check -x "$WORK/download/$1"_*.dsc "$WORK/$1" >>"$WORK/source.log" 2>&1 || {
        say "$1's source package could not be had:"
        tail -n 5 "$WORK/source.log" >&2
        [ "$1" != civetweb ] ||
            say "get civetweb 1.15 or 1.16 in another way and name it: make CIVETWEB_SRC=PATH"
        exit 1
    }
    rm -rf "$WORK/apt" "$WORK/download" "$WORK/$1"_*
}

# Express, in the version that package.json names, where run.py looks for it.
get_express() {
    wanted=tests/bench/peers/package.json
    ! cmp -s "$wanted" "$WORK/express/package.json" || return 0
    say "getting Express"
    rm -rf "$WORK/express" "$WORK/express.new"
    mkdir -p "$WORK/express.new"
    cp "$wanted" "$WORK/express.new/"
    (cd "$WORK/express.new" && npm install --omit=dev --no-package-lock --ignore-scripts --no-audit --no-fund) \
        >"$WORK/express.log" 2>&1 || {
        say "npm could not get Express:"
        tail -n 5 "$WORK/express.log" >&2
        exit 1
    }
    mv "$WORK/express.new" "$WORK/express"
}

# Not Debian: say what is needed, fail only when something is missing.
elsewhere() {
    lacking=
    for command in cc curl python3 socat; do
        command -v $command >/dev/null || lacking="$lacking $command"
    done
    for header in jsmn.h openssl/ssl.h cmocka.h; do
        echo "#include <$header>" | cc -E -x c - >/dev/null 2>&1 || lacking="$lacking <$header>"
    done
    have_civetweb || lacking="$lacking civetweb"
    [ -n "$lacking" ] || return 0
    say "this system has no apt-get; still missing:$lacking"
    say "to build: a C compiler, jsmn 1.1.0 (one header), OpenSSL 3 (or TLS=0), and civetweb's source,"
    say "1.15 or 1.16, named with CIVETWEB_SRC=PATH (src/civetweb.c and include/civetweb.h in it)"
    say "to test: cmocka, curl, socat, rsyslog, Python 3; to measure: wrk"
    exit 1
}

mkdir -p "$WORK"
if ! command -v apt-get >/dev/null; then
    elsewhere
else
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages
    have_civetweb || get_source civetweb
    [ "${1:-}" != cross ] || [ -f "$WORK/cmocka/src/cmocka.c" ] || get_source cmocka
    if [ -n "${1:-}" ]; then
        mkdir -p "$WORK/include"
        cp /usr/include/jsmn.h "$WORK/include/" # the system's include directory is not for them
    fi
fi
[ "${1:-}" != bench ] || get_express
check_civetweb
