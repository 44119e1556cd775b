#!/bin/bash
# What the fuzz targets' seeds (and corpora, if given) reach, by line: a fuzzer that never gets past
# a parser's door finds nothing behind it.
# usage: tools/fuzz_coverage.sh BUILDDIR [FILE]     FILE: src/wire/cbor.c: print its lines that nothing reached
#        CORPUS=DIR adds DIR/corpus-fuzz_NAME (a directory in which tools/fuzz.sh ran)
set -euo pipefail
dir=$1 file=${2:-}
[ -f "$dir/build.ninja" ] || CC=clang meson setup "$dir" --buildtype=debugoptimized -Dfuzz=true \
    -Dc_args='-fprofile-instr-generate -fcoverage-mapping' -Dc_link_args=-fprofile-instr-generate > /dev/null
ninja -C "$dir" > /dev/null
programs=()
for target in "$dir"/tests/fuzz/fuzz_*; do
    if [ ! -f "$target" ] || [ ! -x "$target" ]; then
        continue
    fi
    name=$(basename "$target")
    inputs=()
    for corpus in "tests/fuzz/corpus/${name#fuzz_}" "${CORPUS:-/nonexistent}/corpus-$name"; do
        [ ! -d "$corpus" ] || inputs+=("$corpus")
    done
    LLVM_PROFILE_FILE=$dir/$name.profraw "$target" -runs=0 -artifact_prefix="$dir/$name-" "${inputs[@]}" > "$dir/$name.log" 2>&1 ||
        { tail -40 "$dir/$name.log"; exit 1; }
    programs+=(-object "$target")
done
llvm-profdata merge -sparse "$dir"/*.profraw -o "$dir/profdata"
cd "$dir" # The compiler's paths begin here.
programs=("${programs[@]/#$dir\//}")
if [ -n "$file" ]; then
    llvm-cov show "${programs[@]:1}" -instr-profile=profdata "../$file" | grep -E '^ *[0-9]+\| +0\|' || true
else
    llvm-cov report "${programs[@]:1}" -instr-profile=profdata |
        awk '/^[^ ]*\.c / && $(NF - 3) != "0.00%" { printf "%8s  %s\n", $(NF - 3), $1 }' | sed 's|\.\./||' | sort -n
fi
