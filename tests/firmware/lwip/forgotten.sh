#!/bin/sh
# forgotten.sh FOLDER COMPILER FLAG...: each option of lwip_options.h that lwipopts.h does not have, and all of them
# together, are an error that names it. lwipopts.h is written into FOLDER, without that file's guard, so that nothing
# that endpoint.c includes can stand in for it.
set -u
folder=$1 compiler=$2
shift 2
options=port/baremetal/lwip_options.h
names=$(sed -n 's/^#define \([A-Za-z0-9_]*\)[( ].*/\1/p' $options)

# try PATTERN FLAG...: compiles the endpoint without the options that match; what is said is in FOLDER/said.
try() {
    without=$1
    shift
    {
        sed "/LWIP_OPTIONS_H/d; /^#endif/d; /^#define \\($without\\)[( ]/d" $options
        sed '/lwip_options.h/d' tests/firmware/lwip/lwipopts.h
    } >"$folder/lwipopts.h"
    "$compiler" -I"$folder" "$@" -fsyntax-only port/baremetal/endpoint.c 2>"$folder/said"
}

# named NAME...: each is in an error.
named() {
    for name; do
        grep -q "#error.*lwipopts.h: $name" "$folder/said" || {
            echo "lwipopts.h without $name: no error says so" >&2
            exit 1
        }
    done
}

[ -n "$names" ] || { echo "$options has no options" >&2; exit 1; }
mkdir -p "$folder"
try none "$@" || { cat "$folder/said" >&2; exit 1; }
for forgotten in $names; do
    try "$forgotten" "$@"
    named "$forgotten"
done
try '.*' "$@"
# shellcheck disable=SC2086 # a word each
named $names
echo "an option that lwipopts.h lacks is an error: $(echo "$names" | wc -l) of them"
