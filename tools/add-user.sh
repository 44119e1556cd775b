#!/bin/sh
# Make the system users muster, as whom musterd runs, and muster-haproxy, for load balancers: a host's
# own HAProxy has another. Those that are there stay.
set -eu
for user in muster muster-haproxy; do
    id "$user" > /dev/null 2>&1 || useradd --system --home-dir /nonexistent --no-create-home \
        --shell /usr/sbin/nologin "$user"
done
