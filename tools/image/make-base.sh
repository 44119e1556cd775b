#!/bin/bash
# Make the base image, Debian as in AWS's official AMI of it, once: /var/cache/muster/base-HASH/rootfs.
# Prints the path of its rootfs as the last line. Needs root, mmdebstrap and a Debian mirror.
#
# usage: make-base.sh [CACHE_DIR]
set -euo pipefail
cache=${1:-/var/cache/muster}
here=$(cd "$(dirname "$0")" && pwd)
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
# What candidate links, so that an image can be baked without a network.
packages=systemd-sysv,dbus,udev,openssh-server,sudo,curl,stress,iproute2,ca-certificates,procps
packages=$packages,libuv1,libmicrohttpd12,libcurl4,libjansson4,libssl3
hash=$(cat "$0" "$here"/muster-boot* <(echo "$release") | sha256sum | cut -c1-12)
target=$cache/base-$hash

if [ -f "$target/complete" ]; then
    echo "$target/rootfs"
    exit 0
fi
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9
if [ -f "$target/complete" ]; then
    echo "$target/rootfs"
    exit 0
fi
echo "Making the base image ($release), once; about a minute" >&2
rm -rf "$target.new"
mkdir -p "$target.new"
root=$target.new/rootfs

mmdebstrap --quiet --variant=minbase --mode=root --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
    --include="$packages" "$release" "$root" >&2

# What belongs to an instance, not to an image.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" \
    "$root/var/lib/dbus/machine-id"
touch "$root/etc/machine-id"
echo "127.0.0.1 localhost" > "$root/etc/hosts"

install -m 0755 "$here/muster-boot" "$root/usr/sbin/muster-boot"
install -m 0644 "$here/muster-boot.service" "$root/etc/systemd/system/muster-boot.service"
chroot "$root" useradd --create-home --shell /bin/bash --groups sudo admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/90-admin"
chmod 0440 "$root/etc/sudoers.d/90-admin"
printf '%s\n' 'PasswordAuthentication no' 'UseDNS no' 'HostKey /etc/ssh/ssh_host_ed25519_key' \
    > "$root/etc/ssh/sshd_config.d/10-muster.conf"

# Not for containers, or slow for nothing.
units="sys-kernel-debug.mount sys-kernel-config.mount sys-kernel-tracing.mount
    sys-fs-fuse-connections.mount dev-hugepages.mount proc-sys-fs-binfmt_misc.automount
    systemd-modules-load.service modprobe@.service systemd-journal-flush.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-remount-fs.service
    e2scrub_reap.service e2scrub_all.timer fstrim.timer apt-daily.timer apt-daily-upgrade.timer
    dpkg-db-backup.timer systemd-tmpfiles-clean.timer console-getty.service getty.target
    systemd-sysctl.service systemd-sysusers.service systemd-udevd.service systemd-udev-trigger.service
    systemd-random-seed.service systemd-firstboot.service systemd-binfmt.service
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-networkd.service
    systemd-resolved.service"
for unit in $units; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /etc/systemd/system/muster-boot.service \
    "$root/etc/systemd/system/multi-user.target.wants/muster-boot.service"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log

touch "$target.new/complete"
mv "$target.new" "$target"
echo "$target/rootfs"
