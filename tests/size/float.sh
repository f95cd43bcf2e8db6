#!/bin/sh
# float.sh PREFIX PROGRAM: is there floating point in a program for a processor without it? Fails, and says what: an
# instruction of the FPU, or a function that computes in its place (libgcc's on MIPS are for processors that have one).
set -u
prefix=$1 program=$2
found=$(
    "${prefix}objdump" -d "$program" | awk -F '\t' '
        /^[0-9a-f]+ <.*>:$/ { where = $0; sub(/^[^<]*</, "", where); sub(/>:$/, "", where) }
        $4 ~ /\$f[0-9]/ || ($3 ~ /^(v|f[a-z]+[sd]$)/ && $4 ~ /(^|[^a-z])[sdq][0-9]/) { print where ": " $3 " " $4 }'
    "${prefix}nm" "$program" | awk '{ print $NF }' | grep -xE \
        -e '__(add|sub|mul|div|neg|cmp|eq|ne|lt|le|gt|ge|unord)[sdtx]f[23]' -e '__(extend|trunc)[sdtx]f[sdtx]f2' \
        -e '__fix(uns)?[sdtx]f[sdt]i' -e '__float(un)?[sdt]i[sdtx]f' -e '__aeabi_([df]|u?[il]2[df])[a-z0-9]*' \
        -e 'fmt_fp|__floatscan|strtod'
)
[ -n "$found" ] || exit 0
echo "$program has floating point:" >&2
echo "$found" | sed -n 1,10p >&2
exit 1
