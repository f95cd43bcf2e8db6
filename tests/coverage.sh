#!/bin/sh
# coverage.sh: builds with clang's coverage, runs the unit and the integration tests, and prints which
# lines and branches of cmcwh.c they reach. `coverage.sh show` prints the source with its counts.
set -eu
directory=build/coverage
settings="CC=clang CFLAGS=-O1\ -g\ -fprofile-instr-generate\ -fcoverage-mapping"
rm -rf $directory
mkdir -p $directory
export LLVM_PROFILE_FILE=$PWD/$directory/%p-%m.profraw
out=$(eval make -s "$settings" show-out)
eval make -s "$settings" test >$directory/test.log 2>&1 || tail -n 40 $directory/test.log
find $directory -name '*.profraw' >$directory/list
llvm-profdata merge -sparse -f $directory/list -o $directory/all.profdata
objects=$(find "$out" -type f -perm -u+x | sed '1!s/^/-object /')
case ${1:-report} in
show) llvm-cov show -instr-profile=$directory/all.profdata $objects cmcwh.c --show-branches=count ;;
*) llvm-cov report -instr-profile=$directory/all.profdata $objects cmcwh.c --show-branch-summary ;;
esac
