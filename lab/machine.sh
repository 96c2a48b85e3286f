#!/usr/bin/env bash
# Powers on one machine of the lab: network, file system, then its own first process. Ends only with the machine.
#
#   machine.sh NAME ADDRESS/PREFIX DISK LABNET [IMAGE=FILE...]
#
# Runs as the first process of namespaces of its own (network, host name, IPC, mounts, processes), made by the supervisor.
# DISK     directory with root/ (the machine's files), usr/ (what it changed under /usr) and work/ (overlay's own)
# LABNET   an open file descriptor of the network namespace that holds the lab's bridge (br0)
# IMAGE    programs that the machine finds read-only under /var/lib/lab-images/bin
set -euo pipefail
name=$1 address=$2 disk=$3 labnet=$4
shift 4
root=$disk/root

# Cable: one end is eth0 here, the other hangs on the lab's bridge. The end of an earlier life may still be going away.
port=v-$name
# shellcheck disable=SC2016 # the inner shell's parameters
nsenter --net="/proc/self/fd/$labnet" -- sh -euc '
  ip link del "$1" 2>/dev/null || true
  ip link add "$1" type veth peer name eth0 netns "$2"
  ip link set "$1" master br0 up' _ "$port" $$
exec {labnet}<&-
# The same hardware address in every life, as a real card's: neighbours remember it.
IFS=. read -r a b c d <<<"${address%/*}"
hardware=$(printf '02:1a:%02x:%02x:%02x:%02x' "$a" "$b" "$c" "$d")
ip -batch - <<EOF
link set lo up
link set eth0 address $hardware
address add $address dev eth0
link set eth0 up
EOF
hostname "$name"

# Disk: its own files, and this host's /usr with its own changes above it.
mount --bind "$root" "$root"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$disk/usr,workdir=$disk/work" "$root/usr"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# Only the network's settings belong to the machine; the rest of /proc/sys, and swap, are this host's.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind /proc/sys/net "$root/proc/sys/net"
mount --bind "$root/etc/no-swap" "$root/proc/swaps"
if [[ -e $root/proc/sysrq-trigger ]]; then
  mount --bind /dev/null "$root/proc/sysrq-trigger"
fi
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/run/lock"

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"

images=$root/var/lib/lab-images
mkdir -p "$images"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$images"
mkdir "$images/bin"
for image in "$@"; do
  : >"$images/bin/${image%%=*}"
  mount --bind "${image#*=}" "$images/bin/${image%%=*}"
  mount -o remount,bind,ro "$images/bin/${image%%=*}"
done
mount -o remount,ro "$images"

cd "$root"
mkdir -p old
pivot_root . old
cd /
umount -l /old
rmdir /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 /sbin/init
