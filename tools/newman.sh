#!/bin/sh
# Install newman, which runs deploy/postman's collection, below DIR; nothing to do when it is there.
# usage: tools/newman.sh DIR
set -eu
dir=${1:?usage: tools/newman.sh DIR}
here=$(cd "$(dirname "$0")/.." && pwd)
[ ! -x "$dir/node_modules/.bin/newman" ] || exit 0
mkdir -p "$dir"
cp "$here/deploy/postman/package.json" "$here/deploy/postman/package-lock.json" "$dir"
if npm ci --prefix "$dir" --no-audit --no-fund --silent; then
    exit 0
fi
rm -rf "$dir"
echo "newman: npm's registry does not answer; the Postman collection is not run"
