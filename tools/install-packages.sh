#!/bin/sh
# Install the Debian packages of tools/packages.txt that are missing.
# usage: tools/install-packages.sh [--dry-run] build|run|test ...
set -eu
list=$(dirname "$0")/packages.txt
dry=
if [ "${1:-}" = --dry-run ]; then
    dry=1
    shift
fi
[ $# -gt 0 ] || { echo "usage: $0 [--dry-run] build|run|test ..." >&2; exit 2; }

wanted=
for use in "$@"; do
    wanted="$wanted $(awk -v use="$use" '$1 == use { print $2 }' "$list")"
done
missing=
for package in $wanted; do
    case $package in
    *"|"*) # Not needed where the command is.
        ! command -v "${package#*|}" > /dev/null || continue
        package=${package%|*}
        ;;
    esac
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ -n "$dry" ]; then
    apt-get install --dry-run --no-install-recommends $missing
    exit
fi
[ "$(id -u)" = 0 ] || { echo "$0: missing packages:$missing; run this as root" >&2; exit 1; }
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends $missing
