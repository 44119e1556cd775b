#!/bin/sh
# Bake the candidate service into the running image: run as root on the builder instance, in the
# directory that holds `candidate` and `candidate.service`. Packer and `muster up` both run this.
#   bake.sh --as-init    the service itself is the image's init: for muster only, it is there in a
#                        few hundredths of a second, and there is nothing else, no ssh either
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
if [ "${1:-}" = --as-init ]; then
    cat > /usr/sbin/candidate-init <<'END'
#!/bin/sh
# Init: the service, with the environment that muster tells systemd on its command line.
set -a
for word; do
    case $word in
    systemd.setenv=*) export "${word#systemd.setenv=}" ;;
    esac
done
[ ! -f /etc/default/candidate ] || . /etc/default/candidate
exec setpriv --reuid candidate --regid candidate --clear-groups --no-new-privs /usr/bin/candidate
END
    chmod 0755 /usr/sbin/candidate-init
    ln -sf /usr/sbin/candidate-init /sbin/init
fi
/usr/bin/candidate --version
sync
