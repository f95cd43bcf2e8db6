#!/bin/sh
# make deb: builds the Debian packages in build/deb, out of a copy of the tree. Names, versions and
# licenses are taken from the sources, so that there is one place for each.
set -eu

CIVETWEB=${CIVETWEB_SRC:-build/deps/civetweb}
MAINTAINER='cmcwh maintainers <cmcwh@example.org>'
OUT=build/deb

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

version=$(sed -n 's/^#define CMCWH_VERSION "\(.*\)"/\1/p' cmcwh.h)
abi=$(printf %d "$(sed -n 's/^#define CMCWH_API_VERSION \(0x....\).*/\1/p' cmcwh.h)")
tree=$OUT/cmcwh-$version
debian=$tree/debian
# The same sources give the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}
export SOURCE_DATE_EPOCH

# The comments of a file that say who has the rights, without their frames.
rights() {
    awk '/^ *\/\*/ { inside = 1; text = "" }
         inside { text = text $0 "\n" }
         inside && /\*\// { inside = 0; if (text ~ /Copyright \(|Public Domain/) print text }' "$1" |
        sed 's|^ */\*||; s|\*/.*||; s|^ \* *||; s|^  *||' | cat -s
}

copyright() {
    cat LICENSE
    echo
    echo "Compiled in: civetweb, with two files of others, and jsmn."
    for file in "$CIVETWEB/src/civetweb.c" "$CIVETWEB/src/md5.inl" "$CIVETWEB/src/sha1.inl" "$jsmn"; do
        printf '\n%s:\n\n' "$(basename "$file")"
        rights "$file"
    done
}

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

jsmn=$(echo '#include <jsmn.h>' | ${CC:-cc} -E -x c - | sed -n 's/^# 1 "\(.*jsmn\.h\)".*/\1/p' | head -n 1)

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
copyright >"$debian/copyright"
changelog >"$debian/changelog"

(cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u CIVETWEB_SRC dpkg-buildpackage -us -uc -b ${DEB_OPTIONS:-}) \
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
