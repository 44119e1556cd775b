#!/bin/sh
# Bake the candidate service into the running image: run as root on the builder instance, in the
# directory that holds `candidate` and `candidate.service`. Packer and `muster up` both run this.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# What the binary links; an image made by muster has these already.
missing=$(ldd "$here/candidate" | awk '/not found/ { print $1 }')
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends libuv1 libmicrohttpd12 libcurl4 libjansson4 libssl3
fi
! ldd "$here/candidate" | grep 'not found' || { echo "bake.sh: libraries are missing" >&2; exit 1; }

id candidate > /dev/null 2>&1 || useradd --system --home-dir /nonexistent --no-create-home \
    --shell /usr/sbin/nologin candidate
install -o root -g root -m 0755 "$here/candidate" /usr/bin/candidate
install -o root -g root -m 0644 "$here/candidate.service" /etc/systemd/system/candidate.service
mkdir -p /etc/default
[ -f /etc/default/candidate ] || echo TC_DYNAMO_TABLE=Candidates > /etc/default/candidate
systemctl daemon-reload
systemctl enable candidate
/usr/bin/candidate --version
sync
