#!/bin/bash
# Install what the tests need, build, run every test. Needs root: real containers are part of it.
#
#   sudo ./test.sh             everything (under 25 minutes on two cores)
#   sudo ./test.sh unit sim    only these steps: unit asan random clang sim terraform lxc crash fuzz
#   sudo ./test.sh valgrind nightly   what only tools/nightly.sh runs
set -u
cd "$(dirname "$0")" || exit 1
steps=${*:-unit asan random clang sim terraform lxc crash fuzz}
passed=0 failed=0
export PYTHONDONTWRITEBYTECODE=1
# Debian's python3, boto3 and AWS CLI, whatever else this machine has.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# run NAME COMMAND...: show what runs, count one failure when it fails.
run()
{
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: ok, $((SECONDS - start)) s"
        return 0
    fi
    echo "== $name: FAILED, $((SECONDS - start)) s"
    failed=$((failed + 1))
    return 1
}

# build DIR OPTIONS...: configure once, then build.
build()
{
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" > /dev/null || return 1
    ninja -C "$dir"
}

# unit DIR: every unit test program is one test.
unit()
{
    local log
    log=$(mktemp)
    meson test -C "$1" --suite unit --no-rebuild --print-errorlogs > "$log" 2>&1
    local rc=$?
    grep -vE '^ *[0-9]+/[0-9]+ .* OK ' "$log" | grep -v '^$'
    passed=$((passed + $(sed -n 's/^Ok: *//p' "$log")))
    [ $rc = 0 ] || failed=$((failed + $(sed -n 's/^Fail: *//p' "$log") - 1)) # run() adds one.
    rm -f "$log"
    return $rc
}

# e2e MARKER ARGUMENTS...: pytest counts for itself.
e2e()
{
    local log
    log=$(mktemp)
    "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider -m "$@" tests/e2e 2>&1 | tee "$log"
    local rc=${PIPESTATUS[0]}
    [ "$rc" != 5 ] || rc=0 # No test has this marker yet.
    passed=$((passed + $(tail -1 "$log" | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+' || echo 0)))
    local bad
    bad=$(tail -1 "$log" | grep -oE '[0-9]+ (failed|error)' | awk '{ n += $1 } END { print n + 0 }')
    [ "$rc" = 0 ] || failed=$((failed + bad - 1))
    rm -f "$log"
    return "$rc"
}

sanitized_build()
{
    build build-asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
}

# A musterd that ends at its first fault.
random_calls()
{
    MUSTER_BUILD=$PWD/build-asan e2e random
}

# The rules hold in memory too: nothing read before it is written, nothing left behind.
under_valgrind()
{
    local program bad=0
    for program in build/tests/unit/test_*; do
        [ -f "$program" ] || continue
        if valgrind -q --child-silent-after-fork=yes --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
            "$program" > build/valgrind.log 2>&1; then
            passed=$((passed + 1))
        else
            echo "  $(basename "$program") FAILED"
            grep -E '^(==|\[  (FAILED|ERROR))' build/valgrind.log | head -40
            bad=$((bad + 1))
        fi
    done
    failed=$((failed + (bad > 0 ? bad - 1 : 0))) # run() adds one.
    [ "$bad" = 0 ]
}

fuzz()
{
    tools/fuzz.sh build-fuzz "${FUZZ_SECONDS:-100}"
    local rc=$?
    passed=$((passed + $(cat build-fuzz/passed 2> /dev/null || echo 0)))
    return $rc
}

# newest MARKER: the tests marked clients once more, with the newest boto3 and AWS CLI.
newest()
{
    [ -x build/clients/bin/pytest ] || { echo "skipped: there are no newer clients (tools/clients.sh)"; return 0; }
    PYTHON=build/clients/bin/python e2e "clients and $1"
}

{ tools/install-packages.sh build run test && tools/add-user.sh; } || { echo "0 passed, 1 failed"; exit 1; }
if ! run "release build" build build --buildtype=release; then
    echo "0 passed, 1 failed"
    exit 1
fi
run "the newest clients" tools/clients.sh build/clients
run "newman" tools/newman.sh build/newman
for step in $steps; do
    case $step in
    unit) run "unit tests" unit build ;;
    asan) run "ASan+UBSan build" sanitized_build && run "unit tests, sanitized" unit build-asan ;;
    random) run "ASan+UBSan build" sanitized_build && run "calls at random, sanitized" random_calls ;;
    clang) run "clang's warnings" env CC=clang bash -c '[ -f build-clang/build.ninja ] || meson setup build-clang --buildtype=debug > /dev/null; ninja -C build-clang' ;;
    sim) run "end to end, sim" e2e "not lxc and not crash and not nightly and not terraform and not random"
        run "end to end, sim, newest clients" newest "not lxc and not crash and not nightly and not terraform" ;;
    terraform) run "Terraform" e2e "terraform and not nightly" -rs ;;
    lxc) run "end to end, containers" e2e "lxc and not crash and not nightly" ;;
    crash) run "crash rounds" e2e "crash and not nightly" ;;
    valgrind) run "unit tests under valgrind" under_valgrind ;;
    nightly) run "the tests of a night" e2e "nightly" ;;
    fuzz) run "fuzzers" fuzz ;;
    *) echo "unknown step $step" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
