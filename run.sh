#!/bin/bash
# Install what is missing, build, install, start muster and deploy the candidates stack.
set -euo pipefail
cd "$(dirname "$0")"

usage()
{
    cat <<'END'
usage: sudo ./run.sh [--no-up] [daemon options]

Installs what is missing (apt), builds, installs under PREFIX (default /usr/local), starts muster,
deploys the candidates stack with two instances, and validates it. Run again, it rebuilds, restarts
the daemon (instances go on meanwhile) and converges.

  --no-up   only start muster: no stack
  --help    this text

Daemon options are passed on; `muster-warden --help` lists them. Some:
  --time-scale N    muster's clock runs N times as fast
  --compute sim     instances are a model; needs no containers
  --listen 127.0.0.1:4566
  --state-dir /var/lib/muster

examples:
  sudo ./run.sh
  sudo ./run.sh --time-scale 10
  sudo PREFIX=/opt/muster ./run.sh --no-up
END
}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    bold='' plain=''
fi
say() { echo "$bold== $*$plain"; }
fail()
{
    echo "run.sh: $1" >&2
    [ $# -lt 2 ] || echo "$2" >&2
    exit 1
}

prefix=${PREFIX:-/usr/local} state=/var/lib/muster listen=127.0.0.1:4566 compute=lxc up=1
options=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --no-up) up= ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --state-dir | --listen | --compute)
        [ $# -gt 1 ] || fail "$1 takes a value" "./run.sh --help says more."
        case $1 in
        --state-dir) state=$(realpath -m "$2"); set -- "$1" "$state" "${@:3}" ;;
        --listen) listen=$2 ;;
        --compute) compute=$2 ;;
        esac
        options+=("$1" "$2")
        shift
        ;;
    *) options+=("$1") ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || fail "installing and starting need root" "Try: sudo ./run.sh"
command -v apt-get > /dev/null || fail "this needs Debian or Ubuntu (apt-get)" \
    "Elsewhere: install what tools/packages.txt names, then build with meson (README.md)."

# Who builds: whoever's checkout it is, never root for another.
builder=$(stat -c %U .)
as_builder()
{
    if [ "$builder" = root ]; then "$@"; else runuser -u "$builder" -- "$@"; fi
}

build()
{
    local log=build/run.log
    [ ! -d build ] || chown -R "$builder:" build # After a build by root.
    if [ -f build/build.ninja ]; then
        as_builder meson configure build --prefix="$prefix"
    else
        as_builder meson setup build --prefix="$prefix" --buildtype=release > /dev/null
    fi
    as_builder ninja -C build > "$log" 2>&1 || { tail -20 "$log" >&2; fail "the build failed"; }
    meson install -C build --no-rebuild --quiet
}

# The daemon, by systemd where it runs, else in a session of its own.

program() { [ "$compute" = sim ] && echo "$prefix/bin/musterd" || echo "$prefix/bin/muster-warden"; }

start_by_systemd()
{
    local unit=/etc/systemd/system/muster.service words='' word template="muster.service"
    [ "$compute" != sim ] || template="muster-sim.service"
    for word in "${options[@]}"; do
        words="$words \"$(printf '%s' "$word" | sed 's/[\\"]/\\&/g; s/%/%%/g')\""
    done
    sed -e "s|@PROGRAM@|$(program)$words|" -e "s|@STATE@|$state|" "deploy/$template" > "$unit"
    systemctl daemon-reload
    systemctl enable --quiet muster
    systemctl restart muster
}

stop_own()
{
    local lock pid
    for lock in "$state/lock" "$state/musterd.lock"; do
        # Whoever holds the lock is the daemon.
        [ -f "$lock" ] && ! flock --nonblock "$lock" true || continue
        pid=$(lslocks --noheadings --raw -o PID,PATH | awk -v path="$lock" '$2 == path { print $1; exit }')
        [ -n "$pid" ] || continue
        kill "$pid"
        for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    done
}

start_own()
{
    local run=()
    [ "$compute" != sim ] || run=(runuser -u muster --)
    stop_own
    mkdir -p "$state/log"
    setsid "${run[@]}" "$(program)" "${options[@]}" >> "$state/log/muster.log" 2>&1 < /dev/null &
    daemon=$!
}

log_tail()
{
    if [ -d /run/systemd/system ]; then
        journalctl -u muster -n "$1" --no-pager -o cat
    else
        tail -n "$1" "$state/log/muster.log"
    fi
}

wait_ready()
{
    local second
    for second in $(seq 3600); do # As long as it lives: a base image takes a slow network its time.
        if curl -s -f --noproxy '*' -o /dev/null "http://$listen/_muster/about"; then return; fi
        if [ -d /run/systemd/system ]; then
            systemctl is-active --quiet muster || [ "$second" -lt 3 ] || break
        else
            kill -0 "$daemon" 2> /dev/null || break
        fi
        [ "$((second % 10))" != 5 ] || echo "   still starting ($second s); the first time a base image is made, about a minute"
        sleep 1
    done
    log_tail 20 >&2
    fail "muster did not start" "Its last words are above."
}

say "packages"
tools/install-packages.sh build run
say "build"
build
tools/add-user.sh
if [ "$compute" = lxc ]; then
    say "what this machine can do"
    "$prefix/bin/muster-warden" --check
else
    install -d -o muster -g muster -m 0750 "$state"
fi
say "start"
if [ -d /run/systemd/system ]; then start_by_systemd; else start_own; fi
wait_ready

# The person behind sudo gets keys of their own, so that muster needs no sudo.
muster=("$prefix/bin/muster" --endpoint "http://$listen")
person=${SUDO_USER:-root}
"${muster[@]}" grant "$person" --state-dir "$state"
[ -n "$up" ] || { say "muster runs at http://$listen"; exit 0; }
say "the candidates stack"
if [ "$person" = root ]; then
    "${muster[@]}" up
else
    runuser -u "$person" -- env HOME="$(getent passwd "$person" | cut -d: -f6)" "${muster[@]}" up
fi
