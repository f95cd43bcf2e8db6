#!/bin/sh
# programs.sh FOLDER PROGRAM...: runs these, as many at a time as there are processors. Of each there is then in
# FOLDER what it said, NAME.log, and its exit status, NAME.status. LIMIT: seconds for each; EMULATOR runs them.
set -u
export folder="$1"
shift
printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" sh -c '
    out=$folder/$(basename "$1")
    timeout "$LIMIT" ${EMULATOR:-} "$1" >"$out.log" 2>&1
    echo $? >"$out.status"' one
