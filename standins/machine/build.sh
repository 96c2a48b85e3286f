#!/usr/bin/env bash
# build.sh OUTDIR: what a machine of the lab has above this host's /usr, out of Debian's packages and installed nowhere: the network
# programs that kubelet and kube-proxy call (usr/), Docker and containerd apart (usr/lib/lab-containers/, where the offline package
# finds what a real one carries), and what container images are made of (images/). Our own programs for both are in cmd/. Run by
# `python -m devtools build` in a copy of this folder.
set -euo pipefail
out=$1
network=(iptables libip4tc2 libip6tc2 libxtables12 nftables libnftables1 libnftnl11 libnfnetlink0 libnetfilter-conntrack3 conntrack ebtables ethtool socat libseccomp2)
containers=(docker.io containerd runc tini)
images=(containernetworking-plugins busybox-static)

mkdir debs usr containers images built
go build -ldflags '-s -w' -o built/ ./cmd/...
# Debian 13 has Docker's client in a package of its own
if apt-cache show docker-cli >/dev/null 2>&1; then containers+=(docker-cli); fi
download() { (cd debs && apt-get download -qq "${network[@]}" "${containers[@]}" "${images[@]}"); }
# without lists of packages, or with old ones, they are fetched first, which needs root
download || { apt-get update -qq && download; }

unpack() { # DIRECTORY PACKAGE...: the packages' /usr, with what stands in /bin, /sbin and /lib
    local into=$1 package
    shift
    for package; do
        dpkg-deb -x debs/"$package"_*.deb unpacked
    done
    for folder in bin sbin lib; do
        if [[ -d unpacked/$folder ]]; then
            mkdir -p "unpacked/usr/$folder"
            cp -a "unpacked/$folder/." "unpacked/usr/$folder/"
        fi
    done
    cp -a unpacked/usr/. "$into"
    rm -r unpacked
}
unpack usr "${network[@]}"
unpack containers "${containers[@]}"
unpack images "${images[@]}"
rm -rf usr/share/{doc,man,lintian,bash-completion,apparmor*} usr/lib/systemd

# what Debian's alternatives would say
for program in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sfn "${program/tables/tables-nft}" "usr/sbin/$program"
done
ln -sfn ebtables-nft usr/sbin/ebtables

mkdir -p usr/lib/lab-containers/bin usr/lib/lab-containers/units
cp -a containers/bin/{containerd,containerd-shim-runc-v2,ctr,docker,docker-init} containers/sbin/{dockerd,runc} usr/lib/lab-containers/bin/
mv usr/lib/lab-containers/bin/runc usr/lib/lab-containers/bin/runc.debian
mv built/runc usr/lib/lab-containers/bin/
cp containers/lib/systemd/system/{containerd.service,docker.service,docker.socket} usr/lib/lab-containers/units/
mkdir "$out/images"
cp -a images/lib/cni "$out/images/cni"
mv images/bin/busybox built/pods "$out/images/"
mv usr "$out/usr"
