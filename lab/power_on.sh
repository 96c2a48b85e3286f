#!/usr/bin/env bash
# Powers on one machine of the lab: cgroups, network, file system, then systemd. Ends only with the machine.
#
#   power_on.sh NAME ADDRESS/PREFIX GATEWAY DISK LABNET LAYER CGROUP
#
# Run by the supervisor twice: as a process of the lab, which takes the machine's cgroups and makes its namespaces (network, host name,
# IPC, mounts, processes, cgroups), and then as the first process in these.
# DISK     directory with root/ (the machine's files), usr/ (what it changed under /usr) and work/ (overlay's own)
# LABNET   an open file descriptor of the network namespace that holds the lab's bridge (br0)
# LAYER    directory with a usr/ that lies between this host's /usr and the machine's changes
# CGROUP   path of the machine's cgroups below every hierarchy of this host; they are there
set -euo pipefail
name=$1 address=$2 gateway=$3 disk=$4 labnet=$5 layer=$6 cgroup=$7
root=$disk/root
hierarchies=(cpu cpuacct cpuset memory devices freezer blkio pids systemd)

if [[ ${LAB_INSIDE:-} != yes ]]; then
  for hierarchy in "${hierarchies[@]}" unified; do
    if [[ $hierarchy != unified || -d /sys/fs/cgroup/$hierarchy/$cgroup ]]; then
      echo 0 >"/sys/fs/cgroup/$hierarchy/$cgroup/cgroup.procs" # 0: this process
    fi
  done
  # What a machine must not do to the host it shares a kernel with: its clock, its modules, its ports.
  LAB_INSIDE=yes exec unshare --net --uts --ipc --mount --cgroup --pid --fork --kill-child \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio bash "$0" "$@"
fi

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
# A default route, which leads no farther than GATEWAY: a machine without one can't reach the addresses of Services.
ip -batch - <<EOF
link set lo up
link set eth0 address $hardware
address add $address dev eth0
link set eth0 up
route add default via $gateway
EOF
hostname "$name"

# Disk: its own files, and this host's /usr with the layer and its own changes above it.
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t overlay overlay -o "lowerdir=$layer/usr:/usr,upperdir=$disk/usr,workdir=$disk/work" "$root/usr"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# Only the network's settings belong to the machine; the rest of /proc/sys, and swap, are this host's. What kubelet wants of the
# kernel and sets where it isn't so, it finds as it wants it, in files of the machine's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind /proc/sys/net "$root/proc/sys/net"
mkdir -p "$root/etc/lab"
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 \
  kernel/keys/root_maxbytes=25000000; do
  own=$root/etc/lab/${setting%=*}
  mkdir -p "${own%/*}"
  echo "${setting#*=}" >"$own"
  mount --bind "$own" "$root/proc/sys/${setting%=*}"
done
mount --bind "$root/etc/no-swap" "$root/proc/swaps"
if [[ -e $root/proc/sysrq-trigger ]]; then
  mount --bind /dev/null "$root/proc/sysrq-trigger"
fi
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/sys/fs/cgroup"
for hierarchy in "${hierarchies[@]}"; do
  options=$hierarchy
  if [[ -L /sys/fs/cgroup/$hierarchy ]]; then # on this host two in one, as cpu,cpuacct: a machine can only have them so
    options=$(basename "$(readlink "/sys/fs/cgroup/$hierarchy")")
    ln -s "$options" "$root/sys/fs/cgroup/$hierarchy"
    hierarchy=$options
    [[ ! -d $root/sys/fs/cgroup/$hierarchy ]] || continue
  fi
  mkdir "$root/sys/fs/cgroup/$hierarchy"
  [[ $hierarchy = systemd ]] && options=none,name=systemd
  mount -t cgroup -o "$options" cgroup "$root/sys/fs/cgroup/$hierarchy"
done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mkdir -p "$root/run/lock"

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
for device in null zero full random urandom tty kmsg; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"

cd "$root"
mkdir -p old
pivot_root . old
cd /
umount -l /old
rmdir /old
mount --make-rshared / # containers' mounts are propagated, as on every machine with systemd
# container: systemd leaves to others what is the host's (clock, modules, udev)
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 container=lab /usr/lib/systemd/systemd
