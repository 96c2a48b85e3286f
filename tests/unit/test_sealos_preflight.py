"""The preflight's judgements, as a table: what is found on a machine, and what the user is told."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args

import pytest

from components.problem import Code, Problem
from components.remote.models import Cause, Fleet, Login, Machine, MachineError
from components.sealos import addresses, environment, preflight, sealos_version, way_in
from components.sealos import facts as facts_of
from components.sealos.facts import Facts, Interface, Route
from components.sealos.findings import CODES, report, stop
from components.sealos.preflight import Clock, Seen, judge
from components.sealos.requests import Artifact, Preflight

GIB = 1 << 30
FIRST = Machine(name="sealos01", address="192.0.2.11", role="master")
SECOND = Machine(name="sealos02", address="192.0.2.12", role="node")
THIRD = Machine(name="sealos03", address="192.0.2.13", role="node")
SHA = "a" * 64


def route(network: str, device: str = "eth0", *, direct: bool = True) -> Route:
    return Route(device, IPv4Network(network), direct)


def good(machine: Machine) -> Facts:
    facts = Facts(
        uid=0,
        hostname=machine.name,
        machine_id=f"id-of-{machine.name}",
        addresses=(machine.address, "172.17.0.1"),
        ports=frozenset({22}),
        free_root=50 * GIB,
        free_lib=50 * GIB,
        kernel="Linux",
        arch="x86_64",
        os=("centos", "rhel", "fedora"),
        cpus=2,
        memory=2 * GIB,
        routes=(route("192.0.2.0/24"),),
    )
    if machine == FIRST:
        return replace(
            facts,
            package_bytes=GIB,
            package_sha256=SHA,
            package_version="v1.16.3",
            sealos_bytes=5,
            sealos_sha256=SHA,
            sealos_version="Version: 3.3.9-standin Last Commit: ",
        )
    return facts


def findings(changes: dict[str, dict[str, Any] | MachineError | float] | None = None, **request: Any) -> list[Problem]:
    """The findings when the machines are good but for `changes`: facts, an error, or a clock offset, by machine name."""
    fleet = Fleet(machines=(FIRST, SECOND, THIRD), login=Login())
    asked = Preflight.model_validate(
        {
            "fleet": fleet,
            "cluster": "dev",
            "kubernetesVersion": "v1.16.3",
            "package": Artifact(path="/root/kube1.16.3.tar.gz", sha256=SHA),
            "sealos": Artifact(path="/root/sealos", sha256=SHA),
            "vip": "10.103.97.2",
            "podCidr": "100.64.0.0/10",
            "serviceCidr": "10.96.0.0/12",
        }
        | request
    )
    seen: dict[str, Seen | MachineError] = {}
    for machine in fleet.machines:
        change = (changes or {}).get(machine.name, {})
        if isinstance(change, MachineError):
            seen[machine.name] = change
        elif isinstance(change, float):
            seen[machine.name] = Seen(good(machine), Clock(change, 0.05))
        else:
            fitting = {"package_version": asked.kubernetes_version} if machine == FIRST else {}
            seen[machine.name] = Seen(replace(good(machine), **(fitting | change)), Clock(0.0, 0.05))
    return judge(asked, seen)


@pytest.mark.parametrize(
    ("name", "hostname", "words"),
    [
        ("node1.example.com", "node1", "its hostname is 'node1', not 'node1.example.com': the short form, and kubelet registers as that"),
        ("node1", "node1.example.com", "not 'node1': the full form, and kubelet registers as that"),
        ("node1.example.com", "Node1.example.com", "in lower case, as Kubernetes wants it"),
        ("node1", "node10", "its hostname is 'node10', not 'node1'"),
        ("node1", "", "its hostname is 'empty', not 'node1'"),
    ],
)
def test_what_kubelet_will_register_decides(name: str, hostname: str, words: str) -> None:
    cause, fix = preflight._another_name(name, hostname)
    assert cause.endswith(words)
    assert f"`hostnamectl set-hostname {name}`" in fix


def test_a_machine_with_its_full_name() -> None:
    machine = Machine(name="node1.example.com", address="192.0.2.12")
    assert not [f for f in preflight._host(machine, good(machine)) if f.code == "hostname"]


def nics(*pairs: str) -> tuple[Interface, ...]:
    return tuple(Interface(*pair.split(" ")) for pair in pairs)


@pytest.mark.parametrize(
    ("change", "request_", "expected"),
    [
        pytest.param({"nameservers": ("100.100.2.136",)}, {}, ["error pod-cidr cluster.podCidr 100.64.0.0/10 holds 100.100.2.136, the name server in its /etc/resolv.conf"], id="01: resolver among pods"),
        pytest.param({"nameservers": ("100.100.2.136",)}, {"podCidr": "10.244.0.0/16"}, [], id="01: another range"),
        pytest.param({"nameservers": ("10.96.0.53", "2001:db8::53", "127.0.0.53")}, {}, ["error service-cidr cluster.serviceCidr 10.96.0.0/12 holds 10.96.0.53, the name server"], id="resolver among services"),
        pytest.param({"nameservers": ("10.103.97.2",)}, {"serviceCidr": "10.112.0.0/12"}, ["error vip cluster.vip 10.103.97.2 is the name server"], id="resolver is the VIP"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12", "eth1 100.64.9.9")}, {}, ["error pod-cidr cluster.podCidr 100.64.0.0/10 holds its address 100.64.9.9 (eth1)"], id="address among pods"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12", "dummy0 10.97.0.1")}, {}, ["error service-cidr cluster.serviceCidr 10.96.0.0/12 holds its address 10.97.0.1 (dummy0)"], id="address among services"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12", "tunl0 100.64.9.9", "kube-ipvs0 10.96.0.1", "cali1 100.64.0.1")}, {}, [], id="of an earlier cluster"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12", "eth1 100.64.9.9"), "routes": (route("100.64.9.0/24", "eth1"),)}, {}, ["error pod-cidr cluster.podCidr 100.64.0.0/10 overlaps its network 100.64.9.0/24 (eth1)"], id="said once"),
        pytest.param({"interfaces": nics("bond0 192.0.2.12", "ib0 10.0.0.1")}, {}, ["error interface none of its interfaces (bond0, ib0) matches eth.*|en.*|em.*, by which Calico looks"], id="04: no interface"),
        pytest.param({"interfaces": nics("bond0 192.0.2.12")}, {"interface": "bond0"}, [], id="04: the setting mends it"),
        pytest.param({"interfaces": nics("bond0 192.0.2.12")}, {"network": "flannel"}, ["error interface none of its interfaces (bond0) matches eth.*|en.*|em.*, by which flannel looks"], id="04: flannel is given the same pattern"),
        pytest.param({"interfaces": nics("bond0 192.0.2.12")}, {"network": "cilium"}, [], id="cilium is given none"),
        pytest.param({"interfaces": nics("eth0 10.0.2.15", "bond0 192.0.2.12")}, {"network": "flannel"}, ["warning interface flannel would take 10.0.2.15 (eth0) for it"], id="flannel, another first"),
        pytest.param({"interfaces": nics("eth0 10.0.2.15", "bond0 192.0.2.12")}, {"network": "flannel", "interface": "192.0.2.*"}, [], id="flannel looks at addresses as well"),
        pytest.param({"interfaces": nics("eth0 169.254.3.4", "eth1 192.0.2.12")}, {}, [], id="a link-local address is passed over"),
        pytest.param({"interfaces": nics("eth0 10.0.2.15", "eth0 192.0.2.12")}, {}, ["warning interface Calico would take 10.0.2.15 (eth0) for it"], id="two addresses of one interface"),
        pytest.param({"interfaces": nics("eth0 10.0.2.15", "eth0 192.0.2.12")}, {"interface": "192.0.2.11"}, [], id="mended by can-reach"),
        pytest.param({"routes": (route("0.0.0.0/1", "wg0"), route("128.0.0.0/1", "wg0"), route("64.0.0.0/2", "wg0"))}, {}, [], id="a VPN's default route in parts"),
        pytest.param({"routes": (route("10.0.0.0/8", "wg0"),)}, {}, ["error service-cidr cluster.serviceCidr 10.96.0.0/12 overlaps its network 10.0.0.0/8 (wg0)"], id="a VPN's network"),
        pytest.param({"nameservers": ("127.0.0.1", "::1")}, {}, ["warning nameserver its /etc/resolv.conf names nobody but itself (127.0.0.1, ::1)"], id="resolver is the machine itself"),
        pytest.param({}, {"podCidr": "172.16.0.0/12"}, 3 * ["warning pod-cidr cluster.podCidr 172.16.0.0/12 overlaps 172.17.0.0/16, which the package's Docker takes"], id="Docker's bridge"),
        pytest.param({}, {"podCidr": "172.16.0.0/12", "kubernetesVersion": "v1.20.0"}, [], id="no Docker"),
        pytest.param({"addresses": ("192.0.2.12", "10.103.97.2"), "interfaces": nics("eth0 192.0.2.12", "eth0 10.103.97.2")}, {}, ["error vip cluster.vip 10.103.97.2 is an address of this machine itself"], id="VIP is ours, said once"),
        pytest.param({}, {"vip": "192.0.2.255"}, 3 * ["error vip cluster.vip 192.0.2.255 is no host's address, but an end of its network 192.0.2.0/24 (eth0)"], id="VIP is a broadcast address"),
        pytest.param({}, {"vip": "192.0.2.254"}, [], id="VIP beside the machines"),
        pytest.param({"nameservers": ("10.103.97.2",)}, {}, ["error vip cluster.vip 10.103.97.2 is the name server"], id="resolver is the VIP, said once"),
        pytest.param({"interfaces": nics("bond0 192.0.2.12")}, {"interface": "192.0.2.1"}, [], id="can-reach"),
        pytest.param({"interfaces": nics("enp0s3 10.0.2.15", "enp0s8 192.0.2.12")}, {}, ["warning interface Calico would take 10.0.2.15 (enp0s3) for it, the first that eth.*|en.*|em.* matches, not 192.0.2.12"], id="another first"),
        pytest.param({"interfaces": nics("enp0s3 10.0.2.15", "enp0s8 192.0.2.12")}, {"interface": "enp0s8"}, [], id="mended"),
        pytest.param({"named_in_hosts": True, "own_entries": ("192.0.2.12",), "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9"), "default_device": "eth1"}, {}, [], id="02: default route elsewhere, but hosts says it"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9"), "default_device": "eth1"}, {}, [], id="02: sealos adds the line"),
        pytest.param({"named_in_hosts": True, "own_entries": ("127.0.1.1",), "interfaces": nics("eth0 192.0.2.12"), "default_device": "eth0"}, {}, ["warning node-address its /etc/hosts says 127.0.1.1 of its own name, so that kubelet reports the default route's address"], id="127.0.1.1"),
        pytest.param({"named_in_hosts": True, "own_entries": ("127.0.1.1",), "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9"), "default_device": "eth1"}, {}, ["error node-address its /etc/hosts says 127.0.1.1 of its own name, so that kubelet reports the default route's address, 198.51.100.9 (eth1), in the place of 192.0.2.12"], id="02: and 127.0.1.1"),
        pytest.param({"named_in_hosts": True, "own_entries": ("127.0.1.1", "192.0.2.12"), "interfaces": nics("eth0 192.0.2.12")}, {}, [], id="and the right one"),
        pytest.param({"named_in_hosts": True, "own_entries": ("198.51.100.9",), "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9")}, {}, ["error node-address its /etc/hosts says 198.51.100.9 of its own name, which kubelet would report"], id="another in hosts"),
        pytest.param({"named_in_hosts": True, "own_entries": ("198.51.100.9",), "interfaces": nics("eth0 192.0.2.12"), "default_device": "eth0"}, {}, ["warning node-address its /etc/hosts says 198.51.100.9 of its own name, so that"], id="an old one in hosts"),
        pytest.param({"named_in_hosts": True, "own_entries": ("198.51.100.8", "192.0.2.12"), "interfaces": nics("eth0 192.0.2.12")}, {}, [], id="an old one and the right one"),
        pytest.param({"named_in_hosts": True, "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9"), "default_device": "eth1"}, {}, ["error node-address its name is part of another in /etc/hosts"], id="part of another name"),
        pytest.param({"named_in_hosts": True, "own_entries": ("::1",), "interfaces": nics("eth0 192.0.2.12"), "default_device": "eth0"}, {}, [], id="IPv6"),
        pytest.param({"named_in_hosts": True, "own_entries": ("::1",), "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9"), "default_device": "eth1"}, {}, ["error node-address its /etc/hosts says ::1 of its own name, so that kubelet reports the default route's address, 198.51.100.9 (eth1)"], id="IPv6 and 02"),
        pytest.param({"named_in_hosts": True, "own_entries": ("2001:db8::12",), "addresses": ("192.0.2.12", "2001:db8::12"), "interfaces": nics("eth0 192.0.2.12"), "default_device": "eth0"}, {}, ["error node-address its /etc/hosts says 2001:db8::12 of its own name, which kubelet would report"], id="its IPv6 address alone"),
        pytest.param({"named_in_hosts": True, "own_entries": ("2001:db8::12", "192.0.2.12"), "addresses": ("192.0.2.12", "2001:db8::12"), "interfaces": nics("eth0 192.0.2.12")}, {}, [], id="both of its addresses"),
        pytest.param({"own_entries": ("198.51.100.9",), "interfaces": nics("eth0 192.0.2.12", "eth1 198.51.100.9")}, {}, ["error node-address its /etc/hosts says 198.51.100.9 of its own name, which kubelet would report"], id="in capitals, which sealos does not find"),
        pytest.param({"named_in_hosts": True, "own_entries": ("127.0.1.1",), "interfaces": nics("eth0 192.0.2.12")}, {}, ["error node-address its /etc/hosts says 127.0.1.1 of its own name, so that kubelet has no address to report: there is no default route"], id="127.0.1.1 and no default route"),
        pytest.param({"named_in_hosts": True, "interfaces": nics("eth0 192.0.2.12")}, {}, ["error node-address its name is part of another in /etc/hosts, or of a comment, so that sealos adds no line for it, and kubelet has no address"], id="part of another name and no default route"),
        pytest.param({"interfaces": nics("eth0 192.0.2.12")}, {}, [], id="no default route, and sealos adds the line"),
    ],
)  # fmt: skip
def test_addresses(change: dict[str, Any], request_: dict[str, Any], expected: list[str]) -> None:
    found = findings({"sealos02": change}, **request_)
    assert all(finding.step for finding in found)
    assert not change or {finding.where for finding in found} <= {"sealos02"}
    told = [f"{finding.severity} {finding.code} {finding.text}" for finding in found]
    assert len(told) == len(expected), told
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True)), told


PROXY = {"proxies": ("http_proxy", "https_proxy")}
ALL_OF_IT = "192.0.2.11,10.103.97.2,10.96.0.0/12,100.64.0.0/10,apiserver.cluster.local"


def test_30_a_proxy_in_roots_environment() -> None:
    (finding,) = findings({"sealos02": PROXY})
    assert (finding.where, finding.severity, finding.code) == ("sealos02", "warning", "proxy")
    assert finding.text.startswith("root has http_proxy, https_proxy set: our own calls don't go by it, but kubeadm and sealos's kubectl would")
    assert finding.step.endswith(f"or add to no_proxy there: {ALL_OF_IT}")


@pytest.mark.parametrize("proxies", [("http_proxy",), ("ALL_PROXY", "all_proxy"), ("http_proxy", "ALL_PROXY")])
def test_a_proxy_that_nobody_asks_for_the_api_server(proxies: tuple[str, ...]) -> None:
    assert findings({"sealos02": {"proxies": proxies}}) == []


@pytest.mark.parametrize(
    ("no_proxy", "lacks"),
    [
        ("192.0.2.11:6443,10.0.0.0/8,100.64.0.0/10,*.cluster.local", ""),
        ("192.0.2.11:22,10.0.0.0/8,100.64.0.0/10,.local", "192.0.2.11"),
        ("192.0.2.*,10.0.0.0/8,100.64.0.0/10,.local", "192.0.2.11"),
        ("*", ""),
        (ALL_OF_IT, ""),
        ("localhost, 192.0.2.0/24 ,10.0.0.0/8,100.64.0.0/10,.cluster.local", ""),
        ("192.0.2.11,10.0.0.0/8,100.64.0.0/10,cluster.local", ""),
        ("192.0.2.11,10.0.0.0/8,100.64.0.0/10", "apiserver.cluster.local"),
        ("192.0.2.1,10.0.0.0/8,100.64.0.0/10,local", "192.0.2.11"),
        ("192.0.2.11,10.96.0.0/16,10.103.97.2,100.64.0.0/10,local", "10.96.0.0/12"),
    ],
)
def test_what_of_the_cluster_a_proxy_would_be_asked_for(no_proxy: str, lacks: str) -> None:
    found = findings({"sealos02": {**PROXY, "no_proxy": no_proxy}})
    assert [f.step.rpartition(": ")[2] for f in found] == ([lacks] if lacks else [])


def test_a_shell_that_prints() -> None:
    (finding,) = findings({"sealos02": {"shell_said": ("Welcome\nto it", "")}})
    assert (finding.severity, finding.code) == ("error", "shell")
    assert finding.text == "root's shell prints to its output before any command: 'Welcome'"
    (finding,) = findings({"sealos02": {"shell_said": ("", "nvm: command not found")}})
    assert (finding.severity, finding.text) == ("warning", "root's shell prints to its errors before any command: 'nvm: command not found'")


def test_05_an_rsa_key_and_a_new_openssh() -> None:
    (finding,) = findings({"sealos02": {"refuses_sealos": (Code.RSA_KEY, "refused the private key of root")}})
    assert (finding.severity, finding.code) == ("error", "rsa-key")
    assert all(way in finding.step for way in ("ed25519", "a password", "PubkeyAcceptedAlgorithms +ssh-rsa"))
    (finding,) = [f for f in findings({"sealos01": {"refuses_sealos": (Code.RSA_KEY, ""), "marker": {"name": "dev"}}}) if f.code == "rsa-key"]
    assert finding.severity == "warning"


def test_a_first_master_that_a_tunnel_can_not_end_at() -> None:
    (finding,) = findings({"sealos01": {"forwards": False}}, tunnel=True)
    assert (finding.where, finding.code, finding.severity) == ("sealos01", "forwarding", "error")
    assert "AllowTcpForwarding" in finding.step


def test_a_hardened_ssh_server_that_sealos_can_not_talk_to() -> None:
    (finding,) = findings({"sealos02": {"refuses_sealos": (Code.SEALOS_LOGIN, "No matching encryption algorithm found")}})
    assert (finding.severity, finding.code) == ("error", "sealos-login")
    assert finding.text.endswith("with an SSH library of 2019: No matching encryption algorithm found")
    assert all(word in finding.step for word in ("aes128-ctr", "hmac-sha2-256", "PermitTTY", "PasswordAuthentication"))


@pytest.mark.parametrize(("shell", "found"), [("/usr/bin/fish", True), ("/bin/tcsh", True), ("/bin/bash", False), ("/usr/bin/zsh", False), ("", False)])
def test_a_login_shell_that_takes_no_commands_of_sealos(shell: str, *, found: bool) -> None:
    told = findings({"sealos02": {"login_shell": shell}})
    assert [(f.code, f.severity) for f in told] == ([("shell", "error")] if found else [])
    assert all(shell in f.text for f in told)


MOUNTS = ("/usr/bin", "/var/lib/docker", "/var/lib/containerd", "/var/lib/etcd", "/opt/cni/bin", "/root")


@pytest.mark.parametrize(
    ("host", "change", "version", "expected"),
    [
        ("sealos02", {"read_only": ("/usr/bin", "/var/lib/etcd")}, "v1.16.3", ["nothing can be written to /usr/bin"]),
        ("sealos01", {"read_only": ("/var/lib/etcd",)}, "v1.16.3", ["nothing can be written to /var/lib/etcd"]),
        ("sealos02", {"noexec": MOUNTS}, "v1.16.3", ["/var/lib/docker, where the containers' programs are, is mounted noexec", "/opt/cni/bin, where the pod network's plugins are"]),
        ("sealos02", {"noexec": MOUNTS}, "v1.20.0", ["/var/lib/containerd, where the containers' programs are, is mounted noexec", "/opt/cni/bin, where the pod network's plugins are"]),
        ("sealos02", {"noexec": ("/root", "/var/lib/kubelet")}, "v1.16.3", []),
        ("sealos01", {"broken_links": {"/var/lib/etcd": "/data/etcd"}}, "v1.16.3", ["/var/lib/etcd is a link to /data/etcd, which is not there"]),
        ("sealos02", {"broken_links": {"/var/lib/etcd": "/data/etcd", "/var/lib/containerd": "/data/c"}}, "v1.16.3", []),
    ],
)  # fmt: skip
def test_folders_that_can_not_be_used(host: str, change: dict[str, Any], version: str, expected: list[str]) -> None:
    found = findings({host: change}, kubernetesVersion=version)
    assert [(f.where, f.code, f.severity) for f in found] == [(host, "mounts", "error")] * len(expected)
    assert all(f.text.startswith(start) for f, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(("version", "codes"), [("v1.16.3", ["cgroups"]), ("v1.18.20", ["cgroups"]), ("v1.19.16", []), ("v1.20.15", [])])
def test_cgroups_of_version_2_alone(version: str, codes: list[str]) -> None:
    assert [f.code for f in findings({"sealos02": {"cgroups": "cgroup2fs"}}, kubernetesVersion=version)] == codes
    assert findings({"sealos02": {"cgroups": "tmpfs"}}, kubernetesVersion=version) == []


@pytest.mark.parametrize("hostname", ["node_1", "Node1", "localhost.localdomain", "", "(none)"])
def test_a_host_name_that_no_node_can_have_is_not_proposed(hostname: str) -> None:
    assert preflight._another_name("node1", hostname)[1] == "`hostnamectl set-hostname node1` on it."


def test_calicos_port() -> None:
    taken: dict[str, Any] = {"ports": frozenset({179}), "listeners": {179: ("bgpd", 5)}}
    [finding] = findings({"sealos02": taken})
    assert (finding.code, finding.text) == ("port", "port 179 is taken by bgpd (process 5), which Calico's agent needs")
    assert findings({"sealos02": taken}, network="flannel") == []


def test_28_a_package_that_could_not_be_asked() -> None:
    (finding,) = findings({"sealos01": {"package_version": None, "package_unasked": True}})
    assert (finding.severity, finding.code) == ("warning", "package-version")
    assert "could not be asked which Kubernetes it holds" in finding.text


@pytest.mark.parametrize(("port", "version", "found"), [
    (2381, "v1.16.3", True), (10251, "v1.16.3", True), (10252, "v1.16.3", True), (10257, "v1.16.3", True), (10259, "v1.16.3", True),
    (10251, "v1.23.0", False), (10252, "v1.23.0", False), (10257, "v1.23.0", True), (10259, "v1.23.0", True), (10256, "v1.16.3", False),
])  # fmt: skip
def test_ports_of_the_control_plane(port: int, version: str, *, found: bool) -> None:
    told = findings({"sealos01": {"ports": frozenset({port})}}, kubernetesVersion=version)
    assert [(f.code, f.severity) for f in told] == ([("port", "error")] if found else [])
    assert findings({"sealos02": {"ports": frozenset({port})}}, kubernetesVersion=version) == []


def test_curl_is_for_masters_that_may_leave() -> None:
    assert findings({"sealos01": {"missing_tools": ("curl",)}, "sealos02": {"missing_tools": ("curl",)}}) == []
    several = list(preflight._host(FIRST, replace(good(FIRST), missing_tools=("curl",)), masters=3))
    assert [(f.code, f.severity, f.text) for f in several] == [
        ("tools", "warning", "lacks curl, by which etcd's members are asked before a master leaves")
    ]
    (finding,) = findings({"sealos01": {"missing_tools": ("curl", "find")}})
    assert (finding.severity, finding.text) == ("error", "lacks find")


def test_no_pattern_helps_where_another_address_comes_first_on_the_interface() -> None:
    two = {"interfaces": nics("eth0 10.0.2.15", "eth0 192.0.2.12")}
    [finding] = findings({"sealos02": two})
    assert "set cluster.interface to an address that all machines reach by theirs, as 192.0.2.11," in finding.step
    [finding] = findings({"sealos02": two}, network="flannel")
    assert "make 192.0.2.12 its first address" in finding.step


def test_03_one_nat_address_on_all() -> None:
    def with_nat(*order: str) -> dict[str, dict[str, Any] | MachineError | float]:
        return {m.name: {"interfaces": nics(*(pair.format(m.address) for pair in order))} for m in (FIRST, SECOND, THIRD)}

    found = findings(with_nat("eth0 {}", "eth9 10.0.2.15"))
    assert [(f.where, f.severity, f.code) for f in found] == [(m.name, "warning", "interface") for m in (FIRST, SECOND, THIRD)]
    assert found[0].text == "10.0.2.15 (eth9), which eth.*|en.*|em.* matches, is 3 machines' own: sealos01, sealos02, sealos03"
    assert "Set cluster.interface to what matches only the interface that has the machine's own address, here eth0" in found[0].step
    assert {f.code for f in findings(with_nat("eth0 {}", "eth9 10.0.2.15"), network="flannel")} == {"interface"}
    first = findings(with_nat("eth0 10.0.2.15", "eth1 {}"))
    assert [(f.where, f.severity) for f in first] == [("sealos01", "error"), ("sealos02", "error"), ("sealos03", "error")], "and not once more as a warning"
    assert findings(with_nat("eth0 10.0.2.15", "eth1 {}"), interface="eth1") == []
    assert findings(with_nat("eth0 {}", "docker0 172.17.0.1")) == []
    assert findings(with_nat("eth0 {}", "eth9 10.0.2.15"), waive={"interface": "one site only"})[0].waived


def test_addresses_of_members_are_settled() -> None:
    member = {"marker": {"name": "dev"}, "interfaces": nics("bond0 192.0.2.11"), "nameservers": ("100.100.2.136",)}
    assert not [f for f in findings({"sealos01": member}) if f.where == "sealos01" and f.code in ("interface", "pod-cidr")]


def test_good_machines() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("host", "change", "code", "words"),
    [
        pytest.param("sealos02", {"uid": 1000}, "root", "user id 1000", id="not root"),
        pytest.param("sealos02", {"hostname": "debian"}, "hostname", "'debian', not 'sealos02'", id="another name"),
        pytest.param("sealos02", {"machine_id": ""}, "machine-id", "missing or empty", id="no machine id"),
        pytest.param(
            "sealos02", {"addresses": ("10.0.0.9",)}, "address", "192.0.2.12 is none of its own", id="translated"
        ),
        pytest.param("sealos02", {"missing_tools": ("flock",)}, "tools", "lacks flock", id="tools"),
        pytest.param(
            "sealos02", {"ports": frozenset({10250})}, "port", "port 10250 is taken, which the kubelet", id="kubelet"
        ),
        pytest.param("sealos01", {"ports": frozenset({6443})}, "port", "port 6443", id="API server"),
        pytest.param("sealos01", {"ports": frozenset({2379})}, "port", "port 2379", id="etcd"),
        pytest.param("sealos03", {"leftovers": ("/etc/cni/net.d",)}, "leftovers", "/etc/cni/net.d", id="leftovers"),
        pytest.param("sealos03", {"free_lib": 1}, "disk", "/var/lib has 0 MiB free", id="disk full"),
        pytest.param("sealos03", {"own_disks": {"/var/lib/docker": GIB // 2}}, "disk", "/var/lib/docker has 512 MiB free, 1024", id="images' disk"),
        pytest.param("sealos01", {"own_disks": {"/var/lib/etcd": 0}}, "disk", "/var/lib/etcd has 0 MiB free, 256", id="etcd's disk"),
        pytest.param("sealos03", {"own_disks": {"/var/lib/docker": GIB}, "free_lib": 1}, "disk", "/var/lib has 0 MiB free, 256", id="the rest"),
        pytest.param(
            "sealos03", {"free_root": 2 * GIB}, "disk", "/root has 2048 MiB free, 3072 MiB", id="no room for package"
        ),
        pytest.param(
            "sealos01", {"package_bytes": None}, "package", "kube1.16.3.tar.gz (cluster.package.path)", id="no package"
        ),
        pytest.param("sealos01", {"package_bytes": 0}, "package", "is empty", id="empty package"),
        pytest.param(
            "sealos01",
            {"package_version": "v1.16.8"},
            "package-version",
            "holds Kubernetes v1.16.8, not v1.16.3 (cluster.kubernetesVersion)",
            id="another Kubernetes",
        ),
        pytest.param(
            "sealos01",
            {"package_version": None, "package_why": "gzip: stdin: unexpected end of file"},
            "package-version",
            "cut off on its way: it has neither kube/Metadata nor kube/bin/kubeadm (gzip: stdin: unexpected end of file)",
            id="no package",
        ),
        pytest.param(
            "sealos01", {"sealos_bytes": None}, "sealos", "/root/sealos (cluster.sealos.path)", id="no sealos"
        ),
        pytest.param("sealos01", {"sealos_version": None}, "sealos", "not executable", id="sealos without x"),
        pytest.param("sealos01", {"sealos_version": "v5.1.1"}, "sealos-version", "5.1.1: from v4 on", id="sealos v5"),
        pytest.param("sealos01", {"sealos_version": "4.3.7"}, "sealos-version", "another program", id="sealos v4"),
        pytest.param(
            "sealos01",
            {"sealos_version": "Version: 3.2.0"},
            "sealos-version",
            "joins a known member twice",
            id="v3.2.0",
        ),
        pytest.param(
            "sealos01",
            {"sealos_version": "Version: 3.3.0"},
            "sealos-version",
            "only when init has succeeded",
            id="v3.3.0",
        ),
        pytest.param(
            "sealos01", {"sealos_version": "Version: 3.3.8"}, "sealos-version", "ignores --config", id="v3.3.8"
        ),
        pytest.param("sealos01", {"sealos_version": "Version: 3.3.90"}, "sealos-version", "3.3.90", id="not a prefix"),
        pytest.param(
            "sealos01", {"sealos_version": "Version: "}, "sealos-unversioned", "does not say which", id="no version"
        ),
        pytest.param("sealos02", {"hostname": "Sealos02"}, "hostname", "in lower case", id="capitals"),
        pytest.param("sealos02", {"kernel": "FreeBSD"}, "os", "runs FreeBSD", id="no Linux"),
        pytest.param("sealos02", {"arch": "aarch64"}, "arch", "the first master's x86_64", id="mixed architectures"),
        pytest.param("sealos02", {"arch": "riscv64"}, "arch", "is riscv64", id="no package for it"),
        pytest.param("sealos01", {"cpus": 1}, "cpu", "has 1 CPU", id="one CPU"),
        pytest.param(
            "sealos02",
            {"routes": (route("100.64.7.0/24", "tun3"),)},
            "pod-cidr",
            "100.64.0.0/10 overlaps its network 100.64.7.0/24 (tun3)",
            id="pod network taken",
        ),
        pytest.param(
            "sealos02",
            {"routes": (route("10.100.0.0/16"),)},
            "service-cidr",
            "cluster.serviceCidr 10.96.0.0/12 overlaps",
            id="service network taken",
        ),
        pytest.param(
            "sealos02", {"addresses": ("192.0.2.12", "10.103.97.2")}, "vip", "address of this machine", id="VIP is ours"
        ),
        pytest.param("sealos02", {"vip_answers": "ping"}, "vip", "answers a ping", id="VIP is somebody's"),
        pytest.param(
            "sealos03",
            {"addresses": ("192.0.2.13", "192.0.2.12")},
            "same-address",
            "has 192.0.2.12, which is sealos02's",
            id="another's address",
        ),
        pytest.param(
            "sealos01", {"marker": {"name": "prod"}}, "other-cluster", "'prod', not 'dev'", id="another cluster's"
        ),
    ],
)
def test_one_error(host: str, change: dict[str, Any], code: str, words: str) -> None:
    [finding] = findings({host: change})
    assert (finding.where, finding.code, finding.severity) == (host, code, "error")
    assert words in finding.text
    assert finding.step


@pytest.mark.parametrize("version", ["Version: 3.3.9", "3.3.9-rc.11", "Version: 3.3.9-standin"])
def test_sealos_that_is_supported(version: str) -> None:
    assert findings({"sealos01": {"sealos_version": version}}) == []


@pytest.mark.parametrize("what", ["package", "sealos"])
def test_programs_for_another_architecture(what: str) -> None:
    [finding] = findings({"sealos01": {f"{what}_arch": "aarch64", "sealos_version": "Syntax error"} if what == "sealos" else {f"{what}_arch": "aarch64"}})
    assert (finding.where, finding.code, finding.severity) == ("sealos01", "arch", "error")
    assert "is for aarch64, and this machine is x86_64" in finding.text
    assert findings({"sealos01": {f"{what}_arch": "x86_64"}}) == []


def test_a_sealos_below_a_noexec_mount() -> None:
    [finding] = findings({"sealos01": {"sealos_version": None, "sealos_why": "its folder is mounted noexec"}})
    assert (finding.code, finding.text) == ("sealos", "/root/sealos can't be run there (its folder is mounted noexec)")
    assert "noexec" in finding.step


@pytest.mark.parametrize("machine_id", ["", "uninitialized"])
def test_a_machine_that_was_never_started_before(machine_id: str) -> None:
    """A golden image's, on several machines (machine-id(5))."""
    read = facts_of.parse(f"machine_id {machine_id}\n").machine_id
    found = findings({"sealos02": {"machine_id": read}, "sealos03": {"machine_id": read}})
    assert [f.code for f in found] == ["machine-id", "machine-id"]


def test_checksums() -> None:
    asked = {"package": Artifact(path="/root/p", sha256=SHA), "sealos": Artifact(path="/root/s", sha256=SHA)}
    assert findings({"sealos01": {"package_sha256": SHA, "sealos_sha256": SHA}}, **asked) == []
    wrong = findings({"sealos01": {"package_sha256": "b" * 64, "sealos_sha256": SHA}}, **asked)
    assert [finding.code for finding in wrong] == ["package-sha256"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "/root/istioctl (istio.istioctl.path) is not there"),
        ({"istioctl_bytes": 0}, "is empty"),
        ({"istioctl_bytes": 5, "istioctl_sha256": "b" * 64}, f"has SHA-256 {'b' * 64}, not {SHA} (istio.istioctl.sha256)"),
    ],
)
def test_istioctl_is_missed_before_the_cluster_begins(change: dict[str, Any], words: str) -> None:
    istioctl = Artifact(path="/root/istioctl", sha256=SHA)
    [finding] = findings({"sealos01": change}, istioctl=istioctl)
    assert (finding.where, finding.code, finding.severity) == ("sealos01", "istioctl", "error")
    assert words in finding.text
    assert findings({"sealos01": {"istioctl_bytes": 5, "istioctl_sha256": SHA}}, istioctl=istioctl) == []
    assert findings({"sealos01": {"istioctl_bytes": 5}}, istioctl=Artifact(path="/root/istioctl")) == []


def test_a_package_that_does_not_say_its_version_is_taken_by_its_name() -> None:
    unknown: dict[str, dict[str, Any] | MachineError | float] = {"sealos01": {"package_version": None}}
    assert findings(unknown) == []
    assert findings(unknown, package=Artifact(path="/root/offline.tar.gz", sha256=SHA)) == []
    [finding] = findings(unknown, package=Artifact(path="/kube1.14.1/kube1.16.8.tar.gz", sha256=SHA))
    assert (finding.code, finding.severity) == ("package-version", "warning")
    assert "its name says v1.16.8, not v1.16.3" in finding.text


def test_a_package_that_another_is_sent_in_place_of_is_not_asked() -> None:
    sent = {"package": Artifact(path="/root/p", sha256="b" * 64, file="p")}
    asked = Preflight.model_validate(
        {"fleet": Fleet(machines=(FIRST,), login=Login()), "cluster": "dev", "kubernetesVersion": "v1.16.3", **sent}
        | {"sealos": Artifact(path="/root/s", sha256=SHA)}
    )
    seen = {"sealos01": Seen(replace(good(FIRST), package_version="v1.16.8"), Clock(0.0, 0.05))}
    assert judge(asked, seen, {"package": preflight.Source(size=GIB)}) == []


def test_files_that_are_not_checked_are_said() -> None:
    [finding] = findings(package=Artifact(path="/root/p"), sealos=Artifact(path="/root/s"))
    assert (finding.code, finding.severity) == ("unchecked", "warning")
    assert "cluster.package.sha256 and cluster.sealos.sha256 are not set" in finding.text


@pytest.mark.parametrize(
    ("host", "change", "code"),
    [
        pytest.param("sealos02", {"memory": GIB}, "memory", id="memory"),
        pytest.param("sealos02", {"os": ("slackware",)}, "os", id="unknown distribution"),
        pytest.param("sealos02", {"os": ()}, "os", id="no os-release"),
        pytest.param("sealos02", {"routes": (route("10.0.0.0/8", direct=False),)}, "service-cidr", id="by a gateway"),
        pytest.param("sealos02", {"vip_answers": "port 6443"}, "vip", id="perhaps a proxy"),
    ],
)
def test_one_warning(host: str, change: dict[str, Any], code: str) -> None:
    [finding] = findings({host: change})
    assert (finding.where, finding.code, finding.severity) == (host, code, "warning")


def test_what_is_no_finding() -> None:
    """A node with one CPU; the interfaces of an earlier pod network, which stay until the next boot."""
    leftover = (route("100.64.1.0/26", "*"), route("100.64.2.5/32", "cali1234"), route("10.96.0.1/32", "kube-ipvs0"))
    assert findings({"sealos02": {"cpus": 1, "routes": leftover}}) == []


PINNED = ({"host": "sealos02", "port": 80, "gateway": "istio-ingressgateway"},)
TAKEN: dict[str, Any] = {"ports": frozenset({22, 80}), "listeners": {80: ("nginx", 4711)}}


def test_the_gateways_port_on_its_node() -> None:
    [finding] = findings({"sealos02": TAKEN, "sealos03": TAKEN}, hostPorts=PINNED)
    assert (finding.where, finding.code, finding.severity) == ("sealos02", "gateway-port", "error")
    assert "port 80 is taken by nginx (process 4711), which istio-ingressgateway needs" in finding.text


def test_a_gateway_that_may_land_anywhere() -> None:
    found = findings(
        dict.fromkeys(("sealos01", "sealos02", "sealos03"), TAKEN), hostPorts=({**PINNED[0], "host": None},)
    )
    assert [(f.where, f.severity) for f in found] == [("sealos02", "warning"), ("sealos03", "warning")]


@pytest.mark.parametrize(
    ("listeners", "codes"),
    [({80: ("envoy", 1)}, []), ({}, []), ({80: ("nginx", 1)}, ["gateway-port"])],
    ids=["the gateway itself", "nobody knows", "somebody else"],
)
def test_the_gateways_port_on_a_member(listeners: dict[int, tuple[str, int]], codes: list[str]) -> None:
    mine = MINE | {"ports": frozenset({80, 6443, 10250}), "listeners": listeners}
    found = findings({"sealos01": MINE | {"marker": {"name": "dev"}}, "sealos02": mine}, hostPorts=PINNED)
    assert [finding.code for finding in found] == codes


def test_a_running_cluster_is_not_judged_as_a_bare_machine() -> None:
    """Its own networks, runtimes and address, and room that its package no longer needs."""
    own = MINE | {
        "routes": (route("100.64.0.0/26", "bond0"),),
        "runtimes": ("containerd",),
        "vip_answers": "ping",
        "free_root": GIB,
    }
    assert findings({"sealos01": own | {"marker": {"name": "dev"}}, "sealos02": own}) == []


def test_images_on_a_disk_of_their_own_need_no_room_elsewhere() -> None:
    own = {"/var/lib/docker": GIB, "/var/lib/etcd": 0, "/var/lib/containerd": GIB // 2}
    assert findings({"sealos02": {"own_disks": own, "free_lib": GIB // 2}}) == []


def test_a_node_may_use_the_masters_ports() -> None:
    assert findings({"sealos02": {"ports": frozenset({6443, 2379})}}) == []


def test_swap_is_a_warning() -> None:
    [finding] = findings({"sealos02": {"swap": 1}})
    assert (finding.code, finding.severity) == ("swap", "warning")


@pytest.mark.parametrize(
    ("version", "runtimes", "expected"),
    [
        ("v1.16.3", ("dockerd", "containerd"), []),
        ("v1.16.3", ("containerd",), ["warning"]),
        ("v1.20.0", ("containerd",), ["warning"]),
        ("v1.20.0", ("dockerd", "containerd"), ["error", "warning"]),
    ],
)
def test_runtimes(version: str, runtimes: tuple[str, ...], expected: list[str]) -> None:
    found = findings({"sealos02": {"runtimes": runtimes}}, kubernetesVersion=version)
    assert [finding.severity for finding in found] == expected


@pytest.mark.parametrize(("version", "codes"), [("v1.19.16", []), ("v1.20.15", ["nameserver"])])
def test_a_machine_without_a_nameserver(version: str, codes: list[str]) -> None:
    found = findings({"sealos02": {"no_nameserver": True}}, kubernetesVersion=version)
    assert [finding.code for finding in found] == codes


def test_too_old_a_kubernetes() -> None:
    assert [finding.code for finding in findings(kubernetesVersion="v1.13.12")] == ["kubernetes-version"]


MINE: dict[str, Any] = {"leftovers": ("/etc/kubernetes/pki",), "ports": frozenset({6443, 10250}), "ca": "ca of dev"}
LEAD: dict[str, Any] = MINE | {"marker": {"name": "dev"}, "sealos_ca": "ca of dev"}


@pytest.mark.parametrize("note", ["marker", "intent"])
def test_members_of_this_cluster_are_fine(note: str) -> None:
    first = MINE | {note: {"name": "dev"}, "sealos_ca": "ca of dev", "alive": frozenset({"etcd", "kubelet"})}
    assert findings({"sealos01": first, "sealos02": MINE | {"alive": frozenset({"kubelet"})}}) == []


def test_what_a_join_left_is_a_members_as_the_note_on_it_says() -> None:
    begun = {"leftovers": ("/etc/cni/net.d",), "member": "dev"}
    assert findings({"sealos01": LEAD, "sealos02": begun}) == []


@pytest.mark.parametrize("recover", [True, False])
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"alive": frozenset({"kubelet"}), "leftovers": ("/etc/kubernetes/kubelet.conf",), "kubelet_ca": "c0ffee", "node_name": "n7"},
         "kubelet runs; its kubelet is node n7 of the cluster with CA c0ffee"),
        ({"alive": frozenset({"kubelet"})}, "kubelet runs"),
        ({"member": "prod", "leftovers": ("/etc/kubernetes/kubelet.conf",)}, "is a member of cluster prod"),
        ({"member": "dev", "leftovers": ("/etc/kubernetes/kubelet.conf",), "kubelet_ca": "c0ffee", "alive": frozenset({"kubelet"})},
         "c0ffee"),
        ({"leftovers": ("/var/lib/etcd",)}, "holds the data of a cluster"),
        ({"leftovers": ("/root/.sealos/pki",), "sealos_config": {"masters": ["192.0.2.77:22"]}}, "of other machines (192.0.2.77:22)"),
    ],
)  # fmt: skip
def test_what_is_or_was_another_clusters_is_never_wiped(facts: dict[str, Any], words: str, recover: bool) -> None:
    for found in (
        findings({"sealos02": facts}, recover=recover),
        findings({"sealos01": LEAD, "sealos02": facts}, recover=recover),
    ):
        [finding] = found
        assert (finding.where, finding.code, finding.severity) == ("sealos02", "other-cluster", "error")
        assert words in finding.text
        assert "`kubeadm reset -f` on it by hand" in finding.step


def test_an_etcd_of_a_workers_own_is_no_trace_of_a_cluster() -> None:
    assert findings({"sealos02": {"alive": frozenset({"etcd"}), "ports": frozenset({2379})}}) == []


def test_a_member_of_another_cluster_is_not() -> None:
    found = findings({"sealos01": MINE | {"marker": {"name": "dev"}}, "sealos02": MINE | {"ca": "another"}})
    assert {(finding.where, finding.code) for finding in found} == {("sealos02", "leftovers"), ("sealos02", "port")}


def test_the_same_ca_proves_nothing_when_the_first_master_is_not_ours() -> None:
    assert {finding.where for finding in findings({"sealos01": MINE, "sealos02": MINE})} == {"sealos01", "sealos02"}


def test_leftovers_are_warnings_when_they_may_be_wiped() -> None:
    found = findings({"sealos02": MINE}, recover=True)
    assert {(finding.code, finding.severity) for finding in found} == {("leftovers", "warning"), ("port", "warning")}


def test_another_cluster_is_never_wiped() -> None:
    found = findings({"sealos01": {"marker": {"name": "prod"}, "leftovers": ("/var/lib/etcd",)}}, recover=True)
    assert ("other-cluster", "error") in {(finding.code, finding.severity) for finding in found}


def test_doubles_are_named_on_both() -> None:
    found = findings({"sealos02": {"machine_id": "clone"}, "sealos03": {"machine_id": "clone"}})
    assert [(finding.where, finding.code) for finding in found] == [
        ("sealos02", "same-machine-id"),
        ("sealos03", "same-machine-id"),
    ]
    assert "as sealos03: clone" in found[0].text


def test_one_machine_under_two_names() -> None:
    same = {"hostname": "box", "machine_id": "m"}
    codes = [finding.code for finding in findings({"sealos02": same, "sealos03": same}) if finding.where == "sealos02"]
    assert set(codes) == {"hostname", "same-hostname", "same-machine-id"}


@pytest.mark.parametrize(
    ("offsets", "late"),
    [
        ({"sealos01": 100.0, "sealos02": 100.5, "sealos03": 99.5}, []),
        ({"sealos01": 0.0, "sealos02": 2.04, "sealos03": 0.0}, []),
        ({"sealos01": 0.0, "sealos02": 2.2, "sealos03": 0.0}, ["sealos02"]),
        ({"sealos01": 0.0, "sealos02": 0.0, "sealos03": -60.0}, ["sealos03"]),
    ],
    ids=["ours is wrong", "within what was measured", "ahead", "behind"],
)
def test_clocks_against_the_median(offsets: dict[str, dict[str, Any] | MachineError | float], late: list[str]) -> None:
    found = findings(offsets)
    assert [finding.where for finding in found] == late
    assert all(finding.code == "clock" for finding in found)


def test_unreachable_machines_are_findings_beside_the_others() -> None:
    found = findings(
        {
            "sealos01": MachineError("sealos01", "192.0.2.11:22 refused the connection", "Is it on?", "unreachable"),
            "sealos02": {"hostname": "debian"},
            "sealos03": MachineError("privateKey", "can't be used", "Set it.", "login"),
        }
    )
    assert [(finding.where, finding.code) for finding in found] == [
        ("sealos01", "unreachable"),
        ("sealos02", "hostname"),
        ("sealos03", "login"),
    ]
    assert found[2].text == "privateKey can't be used"


def test_a_member_that_has_died_stops_nothing() -> None:
    def found(reason: str) -> Problem:
        condition = {"type": "Ready", "status": "Unknown", "reason": reason, "message": "Kubelet stopped posting."}
        node = {"metadata": {"name": "sealos03"}, "status": {"conditions": [condition]}}
        dead = MachineError("sealos03", "192.0.2.13:22 does not answer", "Look at the cable.", "unreachable")
        [finding] = [f for f in findings({"sealos01": {"nodes": {"items": [node]}}, "sealos03": dead}) if f.where == "sealos03"]
        assert finding.code == "unreachable"
        return finding

    dead = found("NodeStatusUnknown")
    assert (dead.severity, dead.text) == (
        "warning", "192.0.2.13:22 does not answer, and its Node is not Ready: Kubelet stopped posting.",
    )  # fmt: skip
    assert "cluster.lost" in dead.step
    assert found("NodeStatusNeverUpdated").severity == "error"


def test_the_report_says_everything_once() -> None:
    found = findings({"sealos02": {"hostname": "debian", "swap": 1}, "sealos03": {"uid": 7}})
    text = report(found, 3)
    assert text.startswith("preflight of 3 machines: 2 errors, 1 warning; nothing was changed\n")
    for finding in found:
        assert text.count(f"[{finding.code}] {finding.where}: {finding.text}\n") == 1
        assert finding.step in text
    assert report([], 3) == "3 machines are as they must be"


def test_a_cause_that_all_share_is_said_once() -> None:
    error = MachineError("ssh.privateKeyFile", "no/key can't be read (No such file or directory)", "Set it.", "login")
    text = report(findings(dict.fromkeys(("sealos01", "sealos02", "sealos03"), error)), 3)
    assert text.splitlines() == [
        "preflight of 3 machines: 1 error, 0 warnings; nothing was changed",
        "  - [login] all 3 machines: ssh.privateKeyFile no/key can't be read (No such file or directory)",
        "    Set it.",
    ]


def test_warnings_as_errors() -> None:
    change: dict[str, dict[str, Any] | MachineError | float] = {"sealos02": {"swap": 1, "memory": 1}}
    for setting, severities in (
        (False, {"swap": "warning", "memory": "warning"}),
        (True, {"swap": "error", "memory": "error"}),
        (["swap"], {"swap": "error", "memory": "warning"}),
    ):
        found = findings(change, warningsAsErrors=setting)
        assert {f.code: f.severity for f in found} == severities
        assert stop(found) == ("error" in severities.values())


def test_a_waived_error_stops_nothing_and_is_still_said() -> None:
    change: dict[str, dict[str, Any] | MachineError | float] = {"sealos01": {"cpus": 1}}
    assert stop(findings(change))
    found = findings(change, waive={"cpu": "a test machine with one CPU"}, warningsAsErrors=True)
    assert not stop(found)
    assert report(found, 3).splitlines() == [
        "preflight of 3 machines: 0 errors, 0 warnings, 1 waived",
        "  - waived [cpu] sealos01: has 1 CPU, a master needs 2",
        "    waived in the settings: a test machine with one CPU",
    ]


def test_what_no_step_could_go_on_with_is_never_waived() -> None:
    found = findings({"sealos02": {"hostname": "debian"}}, waive={"hostname": "I like it so"})
    assert stop(found)


def test_every_code_that_is_given_can_be_named_in_the_settings() -> None:
    """The settings refuse a code that is not in CODES."""
    sources = (preflight, addresses, environment, way_in, sealos_version)
    given = {name for module in sources for name in re.findall(r"\bCode\.([A-Z0-9_]+)", Path(str(module.__file__)).read_text())}
    assert len(given) > 40
    assert {Code[name] for name in given} <= set(CODES.values())
    assert set(get_args(Cause)) <= set(CODES)
    assert f"sealos v{sealos_version.SUPPORTED} " in Code.SEALOS_VERSION.fix


def test_facts_as_the_script_prints_them() -> None:
    note = base64.b64encode(json.dumps({"name": "dev"}).encode()).decode()
    text = (
        "uid 0\nhostname sealos01\nmachine_id abc\naddress 192.0.2.11\naddress fd00::1\nswap 0\nport 192B\nport 0016\n"
        f"free_root 1024\nown_disk /var/lib/etcd 2\nown_disk /x \nleftover /var/lib/etcd\nleftover /a b\ncluster {note}\ninstalling x!\nalive etcd\nalive kubelet\nkubelet_ca ab12\nnode_name sealos01\nsealos_version Version: 3.3.9\n"
        "kernel Linux\nos debian\ncpus 2\nmemory 1024\nlistener 80 4711 nginx: worker\nvip_answers ping\n"
        "route eth0 00000000 010200C0 00000000\nroute eth0 000200C0 00000000 00FFFFFF\nroute tun0 0000400A 010200C0 0000C0FF\n"
    )
    facts = facts_of.parse(text)
    assert facts.ports == {6443, 22}
    assert facts.addresses == ("192.0.2.11", "fd00::1")
    assert facts.free_root == 1 << 20
    assert facts.own_disks == {"/var/lib/etcd": 2048}
    assert facts.leftovers == ("/var/lib/etcd", "/a b")
    assert facts.marker == {"name": "dev"}
    assert facts.intent is None
    assert facts.sealos_version == "Version: 3.3.9"
    assert facts.package_bytes is None
    assert facts.alive == {"etcd", "kubelet"}
    assert (facts.kubelet_ca, facts.node_name) == ("ab12", "sealos01")
    assert facts_of.parse("node_name \n").node_name is None
    assert (facts.kernel, facts.os, facts.cpus, facts.memory) == ("Linux", ("debian",), 2, 1 << 20)
    assert facts.listeners == {80: ("nginx: worker", 4711)}
    assert facts.vip_answers == "ping"
    assert facts.routes == (route("192.0.2.0/24"), route("10.64.0.0/10", "tun0", direct=False))


@pytest.mark.parametrize("note", ["", "x", "[]", "null", "1", '"prod"', "[" * 100_000, '{"name":'])
def test_a_note_that_is_none_is_as_good_as_none(note: str) -> None:
    encoded = base64.b64encode(note.encode()).decode()
    facts = facts_of.parse("".join(f"{key} {encoded}\n" for key in ("cluster", "installing", "member", "nodes")))
    assert (facts.marker, facts.intent, facts.member, facts.nodes) == (None, None, None, None)


ODD = ("", "x", "-1", "9" * 40, "eth0", "eth0 ::1/64", "eth0 1.2.3", "a b c d", "* FF FF FF", "²", "\t", "80 x y", "0016 1 2 3", "/var/lib/etcd ²", "999.0.0.1")


@pytest.mark.parametrize("text", ["masters: 5\nnodes: x", "masters: {a: b}", "masters:", "- a", "[" * 10_000, "a: &a [*a]", "\t"])
def test_whatever_stands_in_the_config_of_sealos_is_judged(text: str) -> None:
    read = facts_of.parse(f"leftover /root/.sealos/config.yaml\nsealos_config {base64.b64encode(text.encode()).decode()}\n")
    assert findings({"sealos02": {"leftovers": read.leftovers, "sealos_config": read.sealos_config}})


def test_whatever_a_machine_says_is_read_and_judged() -> None:
    """One that was broken into may say anything."""
    keys = re.findall(r'(?:last|number|get)\("([a-z0-9_]+)"', Path(facts_of.__file__).read_text())
    assert len(set(keys)) > 40
    for value in ODD:
        read = facts_of.parse("".join(f"{key} {value}\n{key}\n{key} {value}\n" for key in keys))
        seen = {machine.name: Seen(read, Clock(0.0, 0.0)) for machine in (FIRST, SECOND)}
        asked = {"fleet": Fleet(machines=(FIRST, SECOND), login=Login()), "cluster": "dev", "kubernetesVersion": "v1.16.3", "vip": "10.103.97.2"}
        files = {"package": Artifact(path="/root/p"), "sealos": Artifact(path="/root/s")}
        assert judge(Preflight.model_validate(asked | files | {"podCidr": "100.64.0.0/10", "serviceCidr": "10.96.0.0/12"}), seen)


def test_a_master_without_the_state_of_sealos_is_told_how_to_take_the_first_ones_place() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    alive = MINE | {"nodes": {"items": [{"metadata": {"name": "sealos01"}, "status": ready}]}}
    [finding] = findings({"sealos01": alive, "sealos02": MINE, "sealos03": MINE}, recover=True)
    assert (finding.where, finding.code, finding.severity) == ("sealos01", "leftovers", "error")
    assert 'sealosBackup --show-secrets | ssh root@192.0.2.11 "$(cat components/sealos/restore.sh)"' in finding.step
    others = findings({"sealos01": alive | {"sealos_config": {"masters": []}}, "sealos02": MINE})
    assert {finding.where for finding in others} == {"sealos01", "sealos02"}
    assert "cluster.adopt: true" in others[0].fix
