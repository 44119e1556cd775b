#!/bin/sh
# Does ShellCheck find fault with any script?
# usage: shellcheck.sh SHELLCHECK
cd "$(dirname "$0")/.." || exit 1
exec "$1" -x -P deploy --severity=warning -e SC2154 run.sh test.sh .ci/run deploy/*.sh deploy/packer/*.sh tools/*.sh tools/image/*.sh \
    tools/image/muster-boot tests/*.sh
