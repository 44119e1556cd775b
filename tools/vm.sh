#!/bin/bash
# Run tests of containers in a virtual machine: Debian's own kernel and systemd, cgroups v2.
set -euo pipefail
cd "$(dirname "$0")/.."

usage()
{
    cat <<'END'
usage: sudo tools/vm.sh [--dir DIR] [pytest's arguments]

Makes a Debian 12 disk (once, about five minutes), puts this checkout and its build into it, boots it,
and runs pytest there. Needs qemu-system-x86, mmdebstrap and 4 GB of memory; without /dev/kvm it is
emulated, some ten times slower, and tests get eight times their time.

  --dir DIR   where the disk is kept [build/vm]

examples:
  sudo tools/vm.sh                                     # tests/e2e/test_lxc_hostile.py
  sudo tools/vm.sh tests/e2e/test_lxc_hostile.py -k memory
END
}

dir=build/vm
case ${1:-} in
-h | --help) usage; exit 0 ;;
--dir) dir=$2; shift 2 ;;
esac
[ $# -gt 0 ] || set -- tests/e2e/test_lxc_hostile.py
[ "$(id -u)" = 0 ] || { echo "tools/vm.sh: making a disk needs root. Try: sudo tools/vm.sh" >&2; exit 1; }
for command in qemu-system-x86_64 mmdebstrap mkfs.ext4 ssh-keygen; do
    command -v $command > /dev/null || { echo "tools/vm.sh: there is no $command" >&2; exit 1; }
done
[ -x build/src/warden/muster-warden ] || { echo "tools/vm.sh: build first: ninja -C build" >&2; exit 1; }
mkdir -p "$dir"
dir=$(realpath "$dir")

packages()
{
    awk '$1 == "build" || $1 == "run" { print $2 }' tools/packages.txt | sed 's/|.*//' | sort -u | paste -sd,
}

make_root()
{
    local root=$dir/root
    echo "== a Debian system in $root"
    rm -rf "$root"
    mmdebstrap --quiet --variant=minbase --include="linux-image-amd64,systemd-sysv,dbus,libpam-systemd,udev,\
apparmor,openssh-server,ca-certificates,python3-pytest,python3-boto3,python3-yaml,$(packages)" bookworm "$root"
    echo muster-vm > "$root/etc/hostname"
    echo '/dev/vda / ext4 defaults 0 1' > "$root/etc/fstab"
    echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"
    printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n' > "$root/etc/systemd/network/10.network"
    chroot "$root" systemctl enable --quiet systemd-networkd
    [ -f "$dir/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    install -D -m 0600 "$dir/key.pub" "$root/root/.ssh/authorized_keys"
    [ ! -d /var/cache/muster ] || cp -a /var/cache/muster "$root/var/cache/" # Base images take long to make.
}

make_disk()
{
    echo "== its disk"
    truncate -s 24G "$dir/disk.new"
    mkfs.ext4 -q -F -d "$dir/root" "$dir/disk.new"
    cp "$dir"/root/boot/vmlinuz-* "$dir/kernel"
    cp "$dir"/root/boot/initrd.img-* "$dir/initrd"
    rm -rf "$dir/root"
    mv "$dir/disk.new" "$dir/disk"
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
inside()
{
    ssh -q -i "$dir/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p "$port" root@127.0.0.1 "$@"
}

[ -f "$dir/disk" ] || { make_root && make_disk; }
accelerator=(-accel 'tcg,thread=multi' -cpu max) patience=8
if grep -q -w -E 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then
    accelerator=(-accel kvm -cpu host) patience=1
fi
echo "== boot"
qemu-system-x86_64 -machine q35 "${accelerator[@]}" -smp 2 -m 4096 -display none -serial "file:$dir/console" \
    -kernel "$dir/kernel" -initrd "$dir/initrd" -append "root=/dev/vda rw console=ttyS0 net.ifnames=0" \
    -drive "file=$dir/disk,if=virtio,format=raw,cache=unsafe" -device virtio-rng-pci \
    -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-pci,netdev=net &
machine=$!
trap 'kill $machine 2> /dev/null || true; wait $machine || true' EXIT
for _ in $(seq 120); do
    kill -0 $machine || exit 1
    ! inside -o ConnectTimeout=5 true 2> /dev/null || break
    sleep 2
done
inside "uname -r; stat -fc %T /sys/fs/cgroup; date -s @$(date +%s) > /dev/null; rm -rf '$PWD'; mkdir -p '$PWD'"
tar -c --exclude ./build/vm --exclude ./build-asan --exclude ./.git . | inside "tar -x -C '$PWD'"
echo "== tests"
arguments=$(printf ' %q' "$@")
inside "cd '$PWD' && tools/add-user.sh && MUSTER_PATIENCE=$patience python3 -m pytest -q --tb=short$arguments" && rc=0 || rc=$?
inside "sync; systemctl poweroff" || true
wait $machine || true
exit "$rc"
