# What every package is made with: read in by `.` at the top of the tree. Names, versions and licences are taken from the
# sources, so that there is one place for each.
CIVETWEB=${CIVETWEB_SRC:-build/deps/civetweb}
MBEDTLS=${MBEDTLS_SRC:-build/deps/mbedtls}
MUSL=${MUSL_SRC:-build/deps/musl}
JSMN=${JSMN_INCLUDE:-build/deps/include}/jsmn.h
MAINTAINER='cmcwh maintainers <cmcwh@example.org>'

version=$(sed -n 's/^#define CMCWH_VERSION "\(.*\)"/\1/p' cmcwh.h)
abi=$(printf %d "$(sed -n 's/^#define CMCWH_API_VERSION \(0x....\).*/\1/p' cmcwh.h)")

# The same sources give the same bytes: all that has a date has that of the last change. In an unpacked source archive
# that is the date of its files.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(if [ -e .git ]; then git log -1 --format=%ct; else date -r CHANGELOG.md +%s; fi)}
export SOURCE_DATE_EPOCH

# need COMMAND PACKAGE: says what is missing, and ends.
need() {
    command -v "$1" >/dev/null || {
        echo "$1 is missing: run 'make dist-deps', or install $2" >&2
        exit 1
    }
}

# pack FOLDER NAME... >ARCHIVE: a tar file, packed, whose bytes depend on names, contents and PACK_DATE only.
pack() {
    folder=$1
    shift
    tar -C "$folder" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go-w \
        --mtime="@${PACK_DATE:-$SOURCE_DATE_EPOCH}" -cf - -- "$@" | gzip -n -9
}

# The comments of a file that say who has the rights, without their frames.
rights() {
    awk '/^ *\/\*/ { inside = 1; text = "" }
         inside { text = text $0 "\n" }
         inside && /\*\// { inside = 0; if (text ~ /Copyright \(|Public Domain/) print text }' "$1" |
        sed 's|^ */\*||; s|\*/.*||; s|^ \* *||; s|^  *||' | cat -s
}

# The terms of Mbed TLS, as its files say them.
mbedtls_terms() {
    sed -n 's/.*SPDX-License-Identifier: //p' "$MBEDTLS/library/ssl_srv.c"
}

# notices [musl] [mbedtls]: whose rights are in a program, and on which terms; musl and Mbed TLS where they are linked in.
notices() {
    cat LICENSE
    echo
    echo "Compiled in: civetweb, with two files of others, and jsmn."
    for file in "$CIVETWEB/src/civetweb.c" "$CIVETWEB/src/md5.inl" "$CIVETWEB/src/sha1.inl" "$JSMN"; do
        printf '\n%s:\n\n' "$(basename "$file")"
        rights "$file"
    done
    for library; do
        case $library in
        musl)
            printf '\nLinked in: musl, and what the compiler GCC brings of its own (libgcc), which its Runtime Library\n'
            printf 'Exception, version 3.1, lets any program contain.\n\nmusl:\n\n'
            cat "$MUSL/COPYRIGHT"
            ;;
        mbedtls)
            printf '\nCompiled in: Mbed TLS, Copyright The Mbed TLS Contributors; %s.\n\n' \
                "$(mbedtls_terms)"
            cat "$MBEDTLS/LICENSE"
            ;;
        esac
    done
}
