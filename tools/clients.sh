#!/bin/sh
# A Python virtual environment with PyPI's newest boto3 and AWS CLI beside Debian's, for tests: they speak other
# protocols. Kept for a day, then made anew. Without an answer from PyPI there is none, which is said and is no failure.
# usage: tools/clients.sh DIR
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=$1
packages=$(awk '$1 == "pypi" { print $2 }' "$(dirname "$0")/packages.txt")

if [ -n "$(find "$dir/complete" -mtime -1 2> /dev/null)" ]; then
    exit 0
fi
made=$dir.new.$$
trap 'rm -rf "$made"' EXIT
trap 'exit 1' INT TERM
# A virtual environment knows its own path: it is made in its place, the old one stands aside meanwhile.
rm -rf "$made"
[ ! -d "$dir" ] || mv "$dir" "$made"
if python3 -m venv "$dir" && "$dir/bin/pip" install -q --disable-pip-version-check --retries 1 --timeout 20 $packages; then
    touch "$dir/complete"
    "$dir/bin/aws" --version
else
    rm -rf "$dir"
    [ ! -d "$made" ] || mv "$made" "$dir"
    echo "clients: PyPI does not answer; the tests go without the newest boto3 and AWS CLI"
fi
