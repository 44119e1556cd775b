#!/bin/bash
# Run every fuzz target for its share of SECONDS.
# usage: tools/fuzz.sh BUILDDIR SECONDS
# A crasher is left in BUILDDIR; it joins tests/fuzz/corpus/NAME/ with its fix.
set -u
dir=$1 seconds=$2
[ -f "$dir/build.ninja" ] || CC=clang meson setup "$dir" --buildtype=debugoptimized -Dfuzz=true > /dev/null || exit 1
ninja -C "$dir" || exit 1
targets=$(find "$dir/tests/fuzz" -maxdepth 1 -type f -executable -name 'fuzz_*' | sort)
count=$(echo "$targets" | wc -w)
[ "$count" -gt 0 ] || { echo "no fuzz targets"; exit 1; }
jobs=$(nproc)
each=$((seconds * jobs / count))
[ "$each" -ge 1 ] || each=1
echo "$count fuzz targets, $each s each"

one()
{
    local target=$1 name corpus
    name=$(basename "$target")
    corpus=$dir/corpus-$name
    mkdir -p "$corpus"
    local seeds=tests/fuzz/corpus/${name#fuzz_} words=tests/fuzz/dict/${name#fuzz_}.dict
    [ -d "$seeds" ] || seeds=
    [ -f "$words" ] && words=-dict=$words || words=
    if "$target" $words -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="$dir/$name-" "$corpus" $seeds > "$dir/$name.log" 2>&1; then
        echo "  $name ok" && return 0
    fi
    echo "  $name FAILED"
    tail -40 "$dir/$name.log"
    return 1
}
export -f one
export dir
echo "$targets" | xargs -P "$jobs" -I{} bash -c "one {} $each && echo {} >> $dir/ok-list" 
passed=$(wc -l 2>/dev/null < "$dir/ok-list" || echo 0)
rm -f "$dir/ok-list"
echo "$passed" > "$dir/passed"
[ "$passed" = "$count" ]
