#!/bin/sh
# Make the system user muster, as whom musterd runs, unless there is one.
set -eu
id muster > /dev/null 2>&1 || useradd --system --home-dir /nonexistent --no-create-home \
    --shell /usr/sbin/nologin muster
