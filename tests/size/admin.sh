#!/bin/sh
# admin.sh LIMIT [VARIABLE=VALUE...]: how many bytes the admin port adds to a static daemon with musl. Fails above
# LIMIT. What is loaded is counted: a file grows by whole pages.
set -eu
limit=$1
shift
bytes() { # bytes ADMIN VARIABLE=VALUE...
    admin=$1
    shift
    binary=$(make -s CC=musl-gcc STATIC=1 TLS=0 ADMIN="$admin" "$@" show-out)/cmcwh
    make -s CC=musl-gcc STATIC=1 TLS=0 ADMIN="$admin" "$@" "$binary" >&2
    size "$binary" | awk 'END { print $1 + $2 }'
}

with=$(bytes 1 "$@")
without=$(bytes 0 "$@")
echo "admin port: $((with - without)) bytes, at most $limit ($with, and $without with ADMIN=0)"
[ $((with - without)) -le "$limit" ]
