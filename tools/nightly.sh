#!/bin/bash
# What takes too long for every change: 200 rounds of kills, 300,000 calls, 20,000 templates and 40
# restarts at random, the unit tests under valgrind, an hour of fuzzing per target, and the tests that are marked nightly.
# Needs root; `ninja -C build nightly` runs it.
#
#   MUSTER_CRASH_ROUNDS=20 NIGHTLY_FUZZ_SECONDS=60 tools/nightly.sh      less of it
set -u
cd "$(dirname "$0")/.." || exit 1
targets=$(find tests/fuzz -name 'fuzz_*.c' | wc -l)
export MUSTER_CRASH_ROUNDS=${MUSTER_CRASH_ROUNDS:-200}
export MUSTER_CALLS=${MUSTER_CALLS:-300000}
export MUSTER_BODIES=${MUSTER_BODIES:-200000}
export MUSTER_TEMPLATES=${MUSTER_TEMPLATES:-20000}
export MUSTER_RESTARTS=${MUSTER_RESTARTS:-40}
export MUSTER_SEED=${MUSTER_SEED:-$(date +%s)}
# tools/fuzz.sh divides among the targets, and runs as many at once as there are processors.
export FUZZ_SECONDS=$((${NIGHTLY_FUZZ_SECONDS:-3600} * targets / $(nproc)))
exec ./test.sh unit valgrind random crash nightly fuzz
