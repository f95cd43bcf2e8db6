#!/bin/sh
# make deb: builds the Debian packages in build/deb, out of a copy of the tree.
# package.sh [ARCHITECTURE]: in OUT; for another architecture with its compiler, and its libraries from `make dist-deps`.
set -eu
. port/dist/release.sh

OUT=${OUT:-build/deb}
NATIVE=$(dpkg --print-architecture)
ARCHITECTURE=${1:-$NATIVE}

for command in dpkg-buildpackage dh; do
    command -v $command >/dev/null || {
        echo "deb: $command is missing. As root: apt-get install dpkg-dev debhelper" >&2
        exit 1
    }
done
[ -f "$CIVETWEB/src/civetweb.c" ] || {
    echo "deb: civetweb's source is not at '$CIVETWEB': run 'make deps', or name a copy with CIVETWEB_SRC=PATH" >&2
    exit 1
}

# Libraries of another architecture stand in a folder of their own: the system is left as it is.
cross=
if [ "$ARCHITECTURE" != "$NATIVE" ]; then
    cross="-a$ARCHITECTURE -d"
    CMCWH_FOREIGN=$PWD/build/deps/foreign/$ARCHITECTURE
    export CMCWH_FOREIGN
    [ -d "$CMCWH_FOREIGN" ] || {
        echo "deb: there are no libraries for $ARCHITECTURE: run 'make dist-deps'" >&2
        exit 1
    }
fi

tree=$OUT/cmcwh-$version
debian=$tree/debian

# The entries of this version in CHANGELOG.md, in Debian's form.
changelog() {
    printf 'cmcwh (%s) unstable; urgency=medium\n\n' "$version"
    awk -v head="## [$version]" '
        /^## / { inside = index($0, head) == 1; next }
        inside && /^- / { if (entry != "") print entry; entry = substr($0, 3); next }
        inside && /^ / { sub(/^ */, " "); entry = entry $0 }
        END { if (entry != "") print entry }' CHANGELOG.md |
        while read -r entry; do
            printf '%s\n' "$entry" | fold -s -w 74 | sed '1s/^/  * /; 1!s/^/    /; s/ *$//'
        done
    printf '\n -- %s  %s\n' "$MAINTAINER" "$(LC_ALL=C date -R -u -d "@$SOURCE_DATE_EPOCH")"
}

rm -rf "$OUT"
mkdir -p "$tree/civetweb"
cp -R cmcwh.c cmcwh.h port tests Makefile README.md README.ja.md LICENSE "$tree"
cp -R "$CIVETWEB/src" "$CIVETWEB/include" "$tree/civetweb"
cp -R port/debian/package "$debian"
cp port/systemd/cmcwh.service port/systemd/cmcwh.sysusers port/systemd/cmcwh.tmpfiles "$debian"
sed -i "s/@ABI@/$abi/g; s/@VERSION@/$version/g; s/@MAINTAINER@/$MAINTAINER/" "$debian/control" "$debian"/libcmcwh.*
for file in install symbols; do
    mv "$debian/libcmcwh.$file" "$debian/libcmcwh$abi.$file"
done
notices >"$debian/copyright"
changelog >"$debian/changelog"

(cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u CIVETWEB_SRC dpkg-buildpackage -us -uc -b ${DEB_OPTIONS:-} $cross) \
    >"$OUT/log" 2>&1 || {
    tail -n 40 "$OUT/log" >&2
    exit 1
}
ls "$OUT"/*.deb
# As root it would refuse, but it only looks.
if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning "$OUT"/cmcwh_*.deb "$OUT"/libcmcwh*_*.deb
else
    echo "deb: not checked: lintian is missing" >&2
fi
