"""What a stack may say, and the one message that a wrong one gets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.base import SettingsError
from components.config.load import KEYS, NONE, parse, parse_and_plan
from components.config.validate import remarks
from tests.project import KEY, config_of

ROOT = Path(__file__).parents[2]

Config = dict[str, Any]


def config() -> Config:
    return {
        "masters": [{"name": "sealos01", "address": "192.168.0.2", "hostKey": KEY}],
        "nodes": [{"name": "sealos02", "address": "192.168.0.3", "hostKey": KEY}],
        "password": "set",
        "cluster": {},
        "istio": {"version": "1.5.0", "profile": "demo"},
    }


def problems(change: Callable[[Config], object]) -> list[str]:
    changed = copy.deepcopy(config())
    change(changed)
    with pytest.raises(SettingsError) as caught:
        parse(changed, "dev")
    return list(caught.value.problems)


def test_defaults_of_a_short_stack() -> None:
    settings = parse(config(), "staging")
    assert settings.cluster.name == "staging"
    assert settings.cluster.package.path == "/root/kube1.16.3.tar.gz"
    assert [m.role for m in settings.machines] == ["master", "node"]
    assert settings.first_master.name == "sealos01"
    assert settings.ssh.host_keys == "pinned"


def test_the_package_follows_the_version() -> None:
    stack = config() | {"cluster": {"kubernetesVersion": "v1.15.7"}}
    assert parse(stack, "dev").cluster.package.path == "/root/kube1.15.7.tar.gz"


def test_machines_take_the_port_of_ssh_unless_they_have_their_own() -> None:
    stack = config() | {"ssh": {"port": 2222}}
    stack["nodes"][0]["port"] = 22
    assert [m.port for m in parse(stack, "dev").machines] == [2222, 22]


def gateway(host: str) -> Config:
    return {"version": "1.5.0", "ingressGateways": [{"k8s": {"nodeSelector": {"kubernetes.io/hostname": host}}}]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda c: c.update(pakage="x"), ["sealos-istio:pakage is not a key"], id="unknown key"),
        pytest.param(
            lambda c: c["cluster"].update(pakage={}),
            ["sealos-istio:cluster.pakage is not a key"],
            id="unknown nested key",
        ),
        pytest.param(
            lambda c: c["nodes"][0].update(adress="x"),
            ["sealos-istio:nodes[0].adress is not a key"],
            id="unknown machine key",
        ),
        pytest.param(
            lambda c: c["cluster"].update(recover="yes"),
            ["sealos-istio:cluster.recover", "boolean", "'yes'"],
            id="wrong type",
        ),
        pytest.param(lambda c: c.update(nodes={}), ["sealos-istio:nodes must be a list"], id="no list"),
        pytest.param(
            lambda c: c["nodes"].append("sealos03"), ["sealos-istio:nodes[1] must be an object"], id="no object"
        ),
        pytest.param(lambda c: c.update(masters=[]), ["sealos-istio:masters names no machine"], id="no master"),
        pytest.param(
            lambda c: c["nodes"][0].pop("address"), ["sealos-istio:nodes[0].address is missing"], id="missing host"
        ),
        pytest.param(
            lambda c: c["nodes"][0].update(address="node2"), ["sealos-istio:nodes[0].address", "IPv4"], id="no address"
        ),
        pytest.param(
            lambda c: c["nodes"][0].update(name="Node_2"), ["sealos-istio:nodes[0].name", "lower-case"], id="bad name"
        ),
        pytest.param(
            lambda c: c["nodes"].append(c["masters"][0]),
            ["sealos-istio:nodes[1].name", "listed already as masters[0].name", "once"],
            id="master listed as node",
        ),
        pytest.param(
            lambda c: c["masters"].extend([c["masters"][0]] * 2),
            ["sealos-istio:masters[1].name", "listed already"],
            id="master twice",
        ),
        pytest.param(
            lambda c: c["masters"].append({"name": "sealos05", "address": "192.168.0.6", "hostKey": KEY}),
            ["sealos-istio:masters lists 2 machines", "1, 3 or 5"],
            id="even masters",
        ),
        pytest.param(
            lambda c: c["nodes"][0].pop("hostKey"),
            ["sealos-istio:nodes[0].hostKey is missing", "unverified"],
            id="no pin",
        ),
        pytest.param(
            lambda c: c["nodes"][0].update(hostKey="ssh-ed25519 nonsense"),
            ["nodes[0].hostKey", "components.host_keys"],
            id="bad pin",
        ),
        pytest.param(
            lambda c: c.pop("password"),
            ["sealos-istio:password", "all missing", "config set --secret"],
            id="no credential",
        ),
        pytest.param(lambda c: c.update(ssh={"user": "admin"}), ["sealos-istio:ssh.user", "root"], id="not root"),
        pytest.param(
            lambda c: c["cluster"].update(kubernetesVersion="v1.13.1"),
            ["sealos-istio:cluster.kubernetesVersion", "v1.14"],
            id="too old",
        ),
        pytest.param(
            lambda c: c["cluster"].update(kubernetesVersion="1.16"), ["kubernetesVersion", "v1.16.3"], id="no version"
        ),
        pytest.param(
            lambda c: c["cluster"].update(kubernetesVersion="v1.22.0"),
            ["sealos-istio:istio.version", "1.5", "1.22"],
            id="version pair",
        ),
        pytest.param(
            lambda c: c["cluster"].update(package={"path": "kube.tgz"}),
            ["cluster.package.path", "absolute"],
            id="relative path",
        ),
        pytest.param(
            lambda c: c["cluster"].update(podCidr="10.96.0.0/16"), ["podCidr", "serviceCidr", "overlap"], id="overlap"
        ),
        pytest.param(
            lambda c: c["cluster"].update(podCidr="192.168.0.0/16"),
            ["podCidr", "holds the address"],
            id="hosts in pods",
        ),
        pytest.param(
            lambda c: c["cluster"].update(lost=["sealos02"]),
            ["cluster.lost", "sealos02", "still listed"],
            id="lost and listed",
        ),
        pytest.param(
            lambda c: c["cluster"].update(vip="192.168.0.3"), ["cluster.vip", "sealos02's own"], id="vip taken"
        ),
        pytest.param(
            lambda c: c.update(istio=gateway("sealos09")),
            ["istio.ingressGateways[0]", "'sealos09'"],
            id="gateway nowhere",
        ),
        pytest.param(
            lambda c: c["istio"].update(profile="full"), ["sealos-istio:istio.profile", "demo"], id="no such profile"
        ),
        pytest.param(
            lambda c: c["istio"].update(components={"cni": {}}),
            ["sealos-istio:istio.components", "cni"],
            id="two places",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_reason_and_fix(change: Callable[[Config], object], expected: list[str]) -> None:
    found = problems(change)
    assert any(all(part in problem for part in expected) for problem in found), found


@pytest.mark.parametrize("empty", [{}, None, "", [], False])
@pytest.mark.parametrize("key", ["istio", "dashboards"])
def test_a_section_that_is_there_and_empty_is_no_way_to_take_it_away(key: str, empty: Any) -> None:
    (problem,) = problems(lambda c: c.update({key: empty}))
    assert problem.startswith(f"sealos-istio:{key} is empty, which may be a slip: it would take the")
    assert problem.endswith("Write what it is to have, or take the key out, which means none")


@pytest.mark.parametrize("key", ["istio", "dashboards"])
def test_a_section_that_is_left_out_is_none(key: str) -> None:
    """Pulumi hands over the project's default for a key that the stack leaves out."""
    default = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"][f"sealos-istio:{key}"]["default"]
    stack = config()
    stack.pop(key, None)
    assert default == NONE
    assert getattr(parse(stack, "dev"), key) is None
    assert getattr(parse({**stack, key: default}, "dev"), key) is None


@pytest.mark.parametrize(
    ("istio", "expected"),
    [
        ({"namespace": "kube-system"}, "istio.namespace: kube-system is Kubernetes' own, and would be deleted with the mesh"),
        ({"namespace": "default"}, "istio.namespace: default is Kubernetes' own"),
        ({"namespace": "istio-operator"}, "istio.namespace: istio-operator is where Istio's operator lives"),
        ({"namespace": "Istio-System"}, "istio.namespace: 'Istio-System' is no name that Kubernetes takes here: lower-case"),
        ({"namespace": "istio.system"}, "istio.namespace: 'istio.system' is no name"),
        ({"namespace": ""}, "istio.namespace: '' is no name"),
        ({"namespace": "a" * 64}, "at most 63"),
        ({"namespace": "istio-system\n"}, "istio.namespace: 'istio-system\\n' is no name"),
        ({"name": "ControlPlane"}, "istio.name: 'ControlPlane' is no name of an object: lower-case"),
        ({"name": "a" * 64}, "at most 63"),
        ({"name": "-a"}, "istio.name: '-a' is no name"),
        ({"cni": {"namespace": "Kube-System"}}, "istio.cni.namespace: 'Kube-System' is no name"),
        ({"version": "1.9.9", "ingressGateways": [{"name": "Edge"}]}, "istio.ingressGateways[0].name: 'Edge' is no name"),
        ({"ingressGateways": [{"namespace": "Edge"}]}, "istio.ingressGateways[0].namespace: 'Edge' is no name"),
        ({"hub": "https://registry.example.org/istio"}, "istio.hub: 'https://registry.example.org/istio' can't begin an image's name"),
        ({"hub": "registry.example.org/istio/"}, "istio.hub: 'registry.example.org/istio/' can't begin an image's name"),
        ({"hub": "registry.example.org/Istio"}, "without scheme, capitals or a slash at the end"),
        ({"hub": "Istio"}, "istio.hub: 'Istio' can't begin"),
        ({"hub": "registry.example.org/a b"}, "can't begin an image's name"),
        ({"hub": "registry.example.org/istio:1.5.0"}, "can't begin an image's name"),
        ({"hub": ""}, "istio.hub: '' can't begin"),
    ],
)
def test_a_mesh_that_could_not_be_made(istio: Config, expected: str) -> None:
    (problem,) = problems(lambda c: c["istio"].update(istio))
    assert expected in problem


@pytest.mark.parametrize(
    "istio",
    [
        {"namespace": "mesh", "name": "mesh.v1"},
        {"cni": {"namespace": "kube-system"}},
        *({"hub": hub} for hub in ("istio", "docker.io/istio", "localhost:5000/istio", "Registry.Example.org:5000/a_b/c--d", "192.0.2.9/istio")),
    ],
)
def test_a_mesh_with_names_of_its_own(istio: Config) -> None:
    assert parse(config() | {"istio": {"version": "1.5.0"} | istio}, "dev").istio


def remarked(change: Callable[[Config], object]) -> list[str]:
    changed = copy.deepcopy(config())
    change(changed)
    return list(remarks(*parse_and_plan(changed, "dev"), changed))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda c: c["istio"].update(hub="gcr.io/istio-release"), "istio.hub: gcr.io/istio-release ends in December 2026", id="gcr"),
        pytest.param(lambda c: c["istio"].update(hub="registry.istio.io/release"), "istio.hub: registry.istio.io ends in December 2026", id="its registry"),
        pytest.param(lambda c: c["istio"].update(values={"global": {"hub": "registry.istio.io"}}), "istio.values.global.hub: registry.istio.io ends", id="hub in values"),
        pytest.param(lambda c: (c.update(kialiPassphrase="x"), c["istio"].update(profile="default")), "kialiPassphrase does nothing: this mesh has no Kiali", id="no Kiali"),
        pytest.param(lambda c: (c.update(kialiPassphrase="x"), c.pop("istio")), "kialiPassphrase does nothing: there is no mesh", id="no mesh"),
        pytest.param(lambda c: c.update(privateKeyPassphrase="x"), "privateKeyPassphrase does nothing: there is no private key", id="no key"),
        pytest.param(lambda c: c.update(dashboardsPassword="x"), "dashboardsPassword does nothing without sealos-istio:dashboards", id="no dashboards"),
        pytest.param(lambda c: c.update(dashboardsTlsKey="x"), "dashboardsTlsKey does nothing without sealos-istio:dashboards", id="no TLS"),
        pytest.param(lambda c: c["istio"].update(values={"pilot": {"hub": "gcr.io/istio-release"}}), "istio.values.pilot.hub: gcr.io/istio-release ends", id="hub of istiod"),
        pytest.param(
            lambda c: c["istio"].update(values={"global": {"proxy": {"image": "gcr.io/istio-release/proxyv2:1.5.0"}}}),
            "istio.values.global.proxy.image: gcr.io/istio-release ends",
            id="image",
        ),
        pytest.param(lambda c: c.update(privateKey="x", ssh={"privateKeyFile": "key"}), "ssh.privateKeyFile does nothing beside sealos-istio:privateKey", id="two keys"),
        pytest.param(lambda c: c.update(dashboards={"way": "ingress"}), "dashboards does nothing without hosts", id="no hosts"),
        pytest.param(lambda c: c["istio"].update(cni={"enabled": False, "logLevel": "debug"}), "istio.cni.logLevel does nothing while istio.cni.enabled is false", id="no CNI"),
        pytest.param(lambda c: c.update(dashboards=dashboards(ingress={"class": "x"})), "dashboards.ingress does nothing with way gateway", id="no Ingress"),
    ],
)  # fmt: skip
def test_what_does_nothing_or_will_end_is_said(change: Callable[[Config], object], expected: str) -> None:
    (remark,) = remarked(change)
    assert remark.startswith(f"sealos-istio:{expected}")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: None,
        lambda c: c.update(kialiPassphrase="x"),
        lambda c: c.update(privateKey="x", privateKeyPassphrase="x"),
        lambda c: c.update(ssh={"privateKeyFile": "key"}, privateKeyPassphrase="x"),
        lambda c: c["istio"].update(hub="gcr.io/istio-releases"),
        lambda c: c["istio"].update(cni={"enabled": False}),
        lambda c: (c["istio"].update(cni={"enabled": False}), c["cluster"].update(network="flannel")),
        lambda c: c.update(dict.fromkeys(("kialiPassphrase", "dashboardsPassword", "privateKeyPassphrase"), "")),
    ],
)
def test_what_is_in_use_is_not_remarked(change: Callable[[Config], object]) -> None:
    assert remarked(change) == []


def test_a_password_is_no_longer_than_bcrypt_takes() -> None:
    def long(stack: Config, size: int = 73) -> None:
        stack["dashboards"] = dashboards("ingress", basicAuth={"username": "ops"}, ingress={"controller": "nginx"})
        stack["dashboardsPassword"] = "ä" * (size // 2) + "a" * (size % 2)

    (problem,) = problems(long)
    assert problem.startswith("sealos-istio:dashboardsPassword is longer than 72 bytes")
    stack = config()
    long(stack, 72)
    assert parse(stack, "dev").dashboards


@pytest.mark.parametrize("key", ["", " ", "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 ÄÄÄÄ"])
def test_an_empty_host_key_pins_nobody(key: str) -> None:
    found = problems(lambda c: c["nodes"][0].update(hostKey=key))
    assert found[0].startswith("sealos-istio:nodes[0].hostKey: is ")
    assert "SSH public key; write it as" in found[0]


@pytest.mark.parametrize("name", ["master1.example.com", "node-1.rack.example", "n1", "a" * 63])
def test_a_machine_may_have_its_full_host_name(name: str) -> None:
    stack = config()
    stack["masters"][0]["name"] = name
    stack["istio"]["ingressGateways"] = [{"k8s": {"nodeSelector": {"kubernetes.io/hostname": name}}}]
    stack["cluster"]["lost"] = ["gone.example.com"]
    assert parse(stack, "dev").first_master.name == name


@pytest.mark.parametrize("place", ["ssh", "node"])
def test_a_user_with_sudo_is_refused_with_the_way_and_nothing_else(place: str) -> None:
    def ubuntu(stack: Config) -> None:
        del stack["password"]
        stack["ssh"] = {"privateKeyFile": ".lab/id_ed25519"}
        (stack["ssh"] if place == "ssh" else stack["nodes"][0])["user"] = "ubuntu"

    (problem,) = problems(ubuntu)  # and not that there is nothing to log in with
    assert problem.startswith(f"sealos-istio:{'ssh' if place == 'ssh' else 'nodes[0]'}.user: 'ubuntu' can't be who logs in: sealos v3 has no sudo")
    assert "`sudo install -m 600 -D ~/.ssh/authorized_keys /root/.ssh/authorized_keys`" in problem


@pytest.mark.parametrize("ssh", [None, "root", [], {"privateKeyfile": "id", "hostKeys": "unverified"}])
def test_what_can_not_be_read_of_ssh_is_one_line(ssh: Any) -> None:
    def change(stack: Config) -> None:
        del stack["password"]
        stack["ssh"] = ssh

    (problem,) = problems(change)
    assert problem.startswith("sealos-istio:ssh")


def test_an_error_beside_nothing_to_log_in_with_is_two() -> None:
    def change(stack: Config) -> None:
        del stack["password"]
        stack["ssh"] = {"port": "22"}

    assert len(problems(change)) == 2


def test_an_error_in_ssh_makes_no_second_line() -> None:
    def wrong(stack: Config) -> None:
        del stack["password"]
        stack["ssh"] = {"privateKeyFile": "key", "port": "22"}

    (problem,) = problems(wrong)
    assert problem.startswith("sealos-istio:ssh.port ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Node1.example.com", "is no host name that Kubernetes takes: lower-case letters"),
        ("node1..example.com", "is no host name"),
        ("node1.example.com.", "is no host name"),
        (".example.com", "is no host name"),
        ("-node1.example.com", "is no host name"),
        ("node1.-x", "is no host name"),
        ("*.example.com", "is no host name"),
        ("node1/../x", "is no host name"),
        ("node1;x", "is no host name"),
        ("node1\n", "is no host name"),
        ("a" * 64, "is no host name"),
        ("a." * 32 + "a", "at most 63 in all"),
        ("192.168.0.3", "is an address; write the machine's host name"),
    ],
)
def test_names_that_no_node_has(name: str, words: str) -> None:
    (problem,) = problems(lambda c: c["nodes"][0].update(name=name))
    assert problem.startswith("sealos-istio:nodes[0].name: ")
    assert words in problem


def more_nodes(stack: Config, last: int) -> None:
    stack["nodes"] = [
        {"name": f"node{n}", "address": f"192.168.{n // 200}.{n % 200 + 4}", "hostKey": KEY} for n in range(last)
    ]


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        pytest.param({"serviceCidr": "10.0.0.0/29"}, "cluster.serviceCidr: 10.0.0.0/29 has 8 addresses; Kubernetes takes /12 to /28", id="services too small"),
        pytest.param({"serviceCidr": "10.0.0.0/11"}, "cluster.serviceCidr: 10.0.0.0/11 has 2097152 addresses", id="services too large"),
        pytest.param({"podCidr": "10.244.0.0/27"}, "cluster.podCidr: 10.244.0.0/27 has 32 addresses", id="pods too small"),
        pytest.param({"podCidr": "10.244.0.0/25", "network": "flannel"}, "v1.16.3 with flannel takes /8 to /24", id="pods too small for Flannel"),
        pytest.param({"podCidr": "10.244.0.0/25", "kubernetesVersion": "v1.20.15"}, "v1.20.15 with calico takes /8 to /24", id="pods too small for kubeadm"),
        pytest.param({"podCidr": "16.0.0.0/7"}, "cluster.podCidr: 16.0.0.0/7 has", id="pods too large"),
        pytest.param({"podCidr": "10.244.0.0/24", "network": "flannel"}, "10.244.0.0/24 is enough for 1 machines of a /24 each (flannel), and 2 are listed", id="no part for each node"),
        pytest.param({"podCidr": "10.244.0.0/26"}, "is enough for 1 machines of a /26 each (calico), and 2 are listed", id="no block for each node"),
        pytest.param({"podCidr": "127.0.0.0/16"}, "cluster.podCidr: 127.0.0.0/16 is in 127.0.0.0/8", id="loopback"),
        pytest.param({"serviceCidr": "224.0.0.0/16"}, "cluster.serviceCidr: 224.0.0.0/16 is in 224.0.0.0/4", id="multicast"),
        pytest.param({"vip": "169.254.0.9"}, "cluster.vip: 169.254.0.9 is in 169.254.0.0/16", id="link-local"),
        pytest.param({"vip": "100.64.3.9"}, "cluster.vip: 100.64.3.9 is inside sealos-istio:cluster.podCidr 100.64.0.0/10, where a pod may get it", id="VIP among pods"),
        pytest.param({"vip": "10.96.0.1"}, "where it is the Service kubernetes", id="VIP is kubernetes"),
        pytest.param({"vip": "10.96.0.10"}, "where it is the cluster's DNS server", id="VIP is DNS"),
        pytest.param({"serviceCidr": "10.103.96.0/20"}, "which is so small that a Service will get it", id="VIP among few services"),
        pytest.param({"certSans": ["https://k8s.example.org"]}, "cluster.certSans: 'https://k8s.example.org' is no name for a certificate", id="SAN with a scheme"),
        pytest.param({"certSans": ["k8s.example.org\n--vip"]}, "'k8s.example.org\\n--vip' is no name for a certificate", id="SAN with a newline"),
        pytest.param({"certSans": ["k8s.example.org\n"]}, "'k8s.example.org\\n' is no name for a certificate", id="SAN with a newline at its end"),
        pytest.param({"certSans": ["k8s.example.org:6443"]}, "without scheme, port, path or space", id="SAN with a port"),
        pytest.param({"certSans": ["--passwd"]}, "'--passwd' is no name for a certificate", id="SAN that is a flag"),
        pytest.param({"certSans": ["a.example.org,b.example.org"]}, "is no name for a certificate", id="two SANs in one"),
        pytest.param({"certSans": ["K8s.example.org"]}, "a host name in lower case", id="SAN in capitals"),
        pytest.param({"certSans": [""]}, "'' is no name for a certificate", id="empty SAN"),
        pytest.param({"apiEndpoint": "https://k8s.example.org"}, "cluster.apiEndpoint: 'https://k8s.example.org' is no place of a server", id="endpoint with a scheme"),
        pytest.param({"apiEndpoint": "k8s.example.org:0"}, "is no place of a server", id="endpoint without a port"),
        pytest.param({"apiEndpoint": "*.example.org"}, "is no place of a server", id="endpoint with a wildcard"),
        pytest.param({"apiEndpoint": "k8s.example.org:"}, "is no place of a server", id="endpoint with half a port"),
        pytest.param({"apiEndpoint": "k8s.example.org"}, "certificate would not be good for k8s.example.org; add it to cluster.certSans", id="endpoint without a SAN"),
        pytest.param({"apiEndpoint": "192.0.2.1", "certSans": ["192.0.2.1"], "apiTunnel": 16443}, "is reached by one of them", id="endpoint and tunnel"),
        pytest.param({"apiTunnel": 443}, "cluster.apiTunnel should be greater than or equal to 1024", id="a port of root's"),
        pytest.param({"interface": "10.0.0.0/8"}, "cluster.interface: '10.0.0.0/8' is no regular expression of letters", id="a network as interface"),
        pytest.param({"interface": ""}, "cluster.interface: '' is no regular expression of letters", id="an empty interface"),
        pytest.param({"interface": "*eth"}, "cluster.interface: '*eth' is no regular expression (nothing to repeat", id="interface"),
        pytest.param({"repo": "https://registry.example.org/k8s"}, "cluster.repo: 'https://registry.example.org/k8s' can't begin an image's name", id="repo with a scheme"),
        pytest.param({"repo": "registry.example.org/"}, "without a slash at the end", id="repo with a slash"),
        pytest.param({"name": "dev\nstaging"}, "cluster.name: 'dev\\nstaging' must be one line", id="name of two lines"),
        pytest.param({"lost": ["sealos05 "]}, "cluster.lost: 'sealos05 ' is no machine's name", id="lost"),
        pytest.param({"kubernetesVersion": "v1.016.3"}, "'v1.016.3' is no version of the form v1.16.3", id="zeros"),
    ],
)  # fmt: skip
def test_what_could_never_work_or_be_changed_is_refused_at_once(cluster: Config, expected: str) -> None:
    found = problems(lambda c: (c["cluster"].update(cluster), c.pop("istio")))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("sealos-istio:cluster.") for problem in found), found


@pytest.mark.parametrize(
    "cluster",
    [
        {"podCidr": "10.244.0.0/16", "serviceCidr": "10.0.0.0/28"},
        {"podCidr": "10.244.0.0/25"},
        {"podCidr": "10.244.0.0/23", "network": "flannel"},
        {"podCidr": "10.0.0.0/8", "serviceCidr": "172.16.0.0/12", "vip": "192.168.0.100"},
        {"serviceCidr": "10.103.0.0/16"},  # holds the VIP, as sealos's own default does
        {"certSans": ["k8s.example.org", "*.example.org", "localhost", "192.0.2.9", "2001:db8::9"]},
        {"apiEndpoint": "k8s.example.org:443", "certSans": ["*.example.org"]},
        {"apiEndpoint": "[2001:db8::9]:443", "certSans": ["2001:db8::9"]},
        {"apiEndpoint": "2001:db8::9", "certSans": ["2001:db8::9"]},
        {"apiTunnel": 16443},
        {"interface": "eth.*|en.*"},
        {"interface": "^eth0$|en[ps][0-9]+"},
        {"repo": "registry.example.org:5000/google_containers"},
        {"lost": ["sealos05", "sealos-06"]},
        {"name": "a name, of a kind"},
    ],
)
def test_what_works_is_taken(cluster: Config) -> None:
    stack = config() | {"cluster": cluster}
    del stack["istio"]
    assert parse(stack, "dev").cluster


def test_as_many_machines_as_the_pods_range_has_parts() -> None:
    def many(stack: Config) -> None:
        more_nodes(stack, 4)
        stack["cluster"]["podCidr"] = "10.244.0.0/24"

    (problem,) = problems(many)
    assert "10.244.0.0/24 is enough for 4 machines of a /26 each (calico), and 5 are listed; choose a larger range" in problem


def test_two_masters_are_let_by_while_the_third_is_lost() -> None:
    def two(stack: Config) -> None:
        stack["masters"].append({"name": "sealos05", "address": "192.168.0.6", "hostKey": KEY})

    (problem,) = problems(two)
    assert "use 1, 3 or 5. Where a master is gone for good, name it in sealos-istio:cluster.lost" in problem
    stack = config() | {"cluster": {"lost": ["sealos06"]}}
    two(stack)
    assert len(parse(stack, "dev").masters) == 2


def test_all_problems_are_said_at_once() -> None:
    def break_three(stack: Config) -> None:
        stack["pakage"] = "x"
        stack["cluster"]["recover"] = "yes"
        stack["nodes"][0]["address"] = "node2"

    assert len(problems(break_three)) == 3


@pytest.mark.parametrize("stack_file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_file_here_is_valid(stack_file: Path) -> None:
    settings = parse(config_of(stack_file.read_text()), "any")
    assert settings.first_master.role == "master"
    assert len(settings.machines) >= 3


def test_the_project_file_declares_exactly_the_keys_that_are_read() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == {f"sealos-istio:{key}" for key in KEYS}
    assert all(entry["description"] for entry in declared.values())


def test_how_the_preflights_findings_are_taken() -> None:
    stack = config() | {
        "cluster": {"preflight": {"warningsAsErrors": ["swap"], "waive": {"cpu": "one is enough here"}}}
    }
    preflight = parse(stack, "dev").cluster.preflight
    assert preflight.model_dump(by_alias=True) == {"warningsAsErrors": ["swap"], "waive": {"cpu": "one is enough here"}}
    assert parse(config(), "dev").cluster.preflight.warnings_as_errors is False


@pytest.mark.parametrize(
    ("preflight", "words"),
    [
        ({"warningsAsErrors": ["swop"]}, "swop is no code of the preflight; known are"),
        ({"waive": {"swop": "never mind it"}}, "swop can't be waived"),
        ({"waive": {"unreachable": "never mind it"}}, "no step could go on with it"),
        ({"waive": {"swap": "ok"}}, "swap needs a reason in words"),
        ({"waive": {"swap": True}}, "waive.swap should be a valid string"),
    ],
)
def test_preflight_settings_that_are_refused(preflight: Config, words: str) -> None:
    assert any(words in problem for problem in problems(lambda c: c.update(cluster={"preflight": preflight})))


def on_host(*nodes: str, **more: Any) -> Config:
    """A stack whose gateway lives in sealos02's network, and whose Contour wants the nodes' ports."""
    stack = copy.deepcopy(config())
    pod = {"hostNetwork": True}
    stack["istio"]["ingressGateways"] = [
        {
            "k8s": {
                "nodeSelector": {"kubernetes.io/hostname": "sealos02"},
                "overlays": [
                    {
                        "kind": "Deployment",
                        "name": "istio-ingressgateway",
                        "patches": [{"path": "spec.template.spec", "value": pod}],
                    }
                ],
            }
        }
    ]
    stack["dashboards"] = {"way": "contour", "contour": {"nodes": list(nodes)}, **more}
    return stack


def dashboards(way: str = "gateway", **more: Any) -> Config:
    return {"way": way, "hosts": {"grafana": "grafana.example.com"}, **more}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda c: c["istio"].update(values={"kiali": {"createDemoSecret": True}}),
            ["istio.values.kiali.createDemoSecret", "admin/admin"],
            id="admin/admin",
        ),
        pytest.param(
            lambda c: c.update(dashboards={"hosts": {}}), ["sealos-istio:dashboards.way is missing"], id="no way"
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(hosts={"graphana": "g.example.com"})),
            ["sealos-istio:dashboards.hosts.graphana", "grafana"],
            id="no such dashboard",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(hosts={"grafana": "https://g.example.com/"})),
            ["dashboards.hosts", "no host name"],
            id="a URL is no host",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(hosts={"grafana": "a.example.com", "kiali": "a.example.com"})),
            ["dashboards.hosts", "given twice", "of its own"],
            id="host twice",
        ),
        pytest.param(lambda c: (c.update(dashboards=dashboards()), c.pop("istio")), ["dashboards", "no mesh"], id="no mesh"),
        pytest.param(
            lambda c: (c["istio"].update(profile="default"), c.update(dashboards=dashboards())),
            ["dashboards.hosts.grafana", "profile default has no grafana", "It has: prometheus"],
            id="profile lacks it",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(hosts={"zipkin": "z.example.com"})),
            ["dashboards.hosts.zipkin", "tracing is jaeger", "istio.values.tracing.provider: zipkin"],
            id="no zipkin with jaeger",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(tls={"certificate": "PEM"})),
            ["dashboards.tls.certificate: is no certificate in PEM"],
            id="no certificate",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(tls={})),
            ["dashboards.tls", "secretName", "certificate"],
            id="no TLS",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(tls={"certificate": "-----BEGIN CERTIFICATE-----"})),
            ["sealos-istio:dashboardsTlsKey is missing", "config set --secret"],
            id="no key for the certificate",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards(), dashboardsPassword="x"),
            ["sealos-istio:dashboardsPassword is set", "dashboards.basicAuth"],
            id="a password for nothing",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards("ingress", basicAuth={"username": "ops"}), dashboardsPassword="x"),
            ["dashboards.basicAuth", "controller: nginx"],
            id="basic auth by an unknown controller",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards("contour", basicAuth={"username": "ops"}), dashboardsPassword="x"),
            ["dashboards.basicAuth", "HTTPProxy has no basic authentication"],
            id="basic auth by Contour",
        ),
        pytest.param(
            lambda c: c.update(dashboards=dashboards("gateway", basicAuth={"username": "ops"}), dashboardsPassword="x"),
            ["dashboards.basicAuth", "VirtualService have no basic authentication"],
            id="basic auth by the gateway",
        ),
        pytest.param(
            lambda c: (
                c["istio"].update(ingressGateways=[{"enabled": False}]),
                c.update(dashboards=dashboards()),
            ),
            ["dashboards.way", "no ingress gateway"],
            id="no gateway",
        ),
        pytest.param(
            lambda c: c.update(on_host("sealos02")),
            ["dashboards.contour.nodes", "sealos02", "ports 80 and 443", "name other nodes"],
            id="ports of the gateway",
        ),
        pytest.param(
            lambda c: c.update(on_host("sealos09")), ["dashboards.contour.nodes[0]", "'sealos09'"], id="no such node"
        ),
        pytest.param(
            lambda c: c.update(on_host()), ["dashboards.contour.nodes", "at least 1"], id="Contour without nodes"
        ),
        pytest.param(
            lambda c: (c.update(on_host("sealos01")), c["cluster"].update(kubernetesVersion="v1.15.7")),
            ["dashboards.contour", "Kubernetes v1.15.7", "v1.16 to v1.18"],
            id="no Contour for that cluster",
        ),
        pytest.param(
            lambda c: (
                c.update(on_host("sealos01")),
                c["istio"]["ingressGateways"][0]["k8s"].pop("nodeSelector"),
            ),
            ["dashboards.contour.nodes", "whatever node it lands on", "nodeSelector"],
            id="a gateway that may land anywhere",
        ),
    ],
)
def test_a_wrong_way_in_is_named_with_reason_and_fix(change: Callable[[Config], object], expected: list[str]) -> None:
    found = problems(change)
    assert any(all(part in problem for part in expected) for problem in found), found


def test_contour_keeps_off_the_gateways_node() -> None:
    assert parse(on_host("sealos01"), "dev").dashboards is not None


def test_contour_may_share_a_node_with_a_gateway_that_listens_elsewhere() -> None:
    stack = on_host("sealos02")
    stack["istio"]["version"] = "1.7.8"
    [gateway] = stack["istio"]["ingressGateways"]
    ports = [{"name": "http2", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]
    gateway["k8s"]["service"] = {"ports": ports}
    assert parse(stack, "dev").dashboards is not None
    ports[1]["targetPort"] = 443
    assert "takes ports 443 in the node's own network" in "\n".join(problems(lambda c: c.update(stack)))


def test_a_gateway_cut_to_http_cannot_do_tls() -> None:
    def cut(stack: Config) -> None:
        ports = [{"name": "http2", "port": 80, "targetPort": 80}]
        overlay = {
            "kind": "Service",
            "name": "istio-ingressgateway",
            "patches": [{"path": "spec.ports", "value": ports}],
        }
        stack["istio"]["ingressGateways"] = [{"k8s": {"overlays": [overlay]}}]
        stack["dashboards"] = dashboards(tls={"secretName": "wildcard"})

    [problem] = problems(cut)
    assert "lack 443" in problem


def ranged(**entry: Any) -> Config:
    node = {"name": "sealos02", "address": "192.168.0.3-192.168.0.5"} | entry
    return config() | {"nodes": [node], "ssh": {"knownHosts": "known_hosts"}}


def test_a_range_of_addresses_is_numbered_on() -> None:
    nodes = parse(ranged(port=2222), "dev").nodes
    assert [(m.name, m.address, m.port) for m in nodes] == [
        ("sealos02", "192.168.0.3", 2222),
        ("sealos03", "192.168.0.4", 2222),
        ("sealos04", "192.168.0.5", 2222),
    ]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("node8", "node10"),
        ("node08", "node10"),
        ("rack1-n098", "rack1-n100"),
        ("node8.rack1.example.com", "node10.rack1.example.com"),
    ],
)
def test_numbers_keep_their_digits(first: str, last: str) -> None:
    names = [m.name for m in parse(ranged(name=first), "dev").nodes]
    assert (names[0], names[-1]) == (first, last)


def test_a_range_of_one() -> None:
    assert len(parse(ranged(address="192.168.0.3-192.168.0.3", hostKey=KEY), "dev").nodes) == 1


def test_a_range_over_a_byte() -> None:
    addresses = [m.address for m in parse(ranged(address="192.168.0.254-192.168.1.1"), "dev").nodes]
    assert addresses == ["192.168.0.254", "192.168.0.255", "192.168.1.0", "192.168.1.1"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"address": "192.168.0.3-5"}, "is no range of IPv4 addresses; write it as"),
        ({"address": "192.168.0.3-192.168.0.4-192.168.0.5"}, "is no range"),
        ({"address": "192.168.0.5-192.168.0.3"}, "range of -1 addresses"),
        ({"address": "10.0.0.0-10.255.255.255"}, "a range has 1 to 256"),
        ({"name": "worker"}, "must end with the first machine's number"),
        ({"name": "worker.rack1"}, "must end with the first machine's number"),
        ({"name": None}, "must end with the first machine's number"),
        ({"hostKey": KEY}, "a range has one key per machine"),
        ({"name": "sealos01"}, "is listed already as masters[0].name"),
        ({"address": "192.168.0.1-192.168.0.4"}, "is listed already as masters[0].address"),
    ],
)
def test_ranges_that_are_refused(entry: Config, words: str) -> None:
    found = problems(lambda c: c.update(ranged(**entry)))
    assert any(words in problem for problem in found), found


SHA = "a" * 64


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"sha256": SHA}, "/root/kube1.16.3.tar.gz"),
        ({"path": "/srv/kube.tar.gz"}, "/srv/kube.tar.gz"),
        ({"file": "packages/k.tar.gz", "sha256": SHA}, "/root/k.tar.gz"),
        ({"url": "https://example.org/a/k.tar.gz?x=1", "sha256": SHA}, "/root/k.tar.gz"),
        ({"url": "https://example.org/a", "path": "/srv/k.tar.gz", "sha256": SHA}, "/srv/k.tar.gz"),
    ],
)
def test_where_the_package_comes_from(given: Config, path: str) -> None:
    assert parse(config() | {"cluster": {"package": given}}, "dev").cluster.package.path == path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"file": "k.tar.gz"}, "cluster.package: needs sha256 beside file or url"),
        ({"url": "https://example.org/k.tar.gz"}, "cluster.package: needs sha256"),
        ({"file": "k", "url": "https://example.org/k", "sha256": SHA}, "has both file and url"),
        ({"url": "ftp://example.org/k", "sha256": SHA}, "is no http or https URL"),
        ({"url": "https://me:pw@example.org/k", "sha256": SHA}, "must not hold a user or password"),
        ({"url": "https://example.org/", "sha256": SHA}, "cluster.package.path: '/root/' must be an absolute path"),
        ({"file": "my package.tar.gz", "sha256": SHA}, "must be an absolute path of letters"),
    ],
)
def test_packages_that_are_refused(given: Config, words: str) -> None:
    found = problems(lambda c: c.update(cluster={"package": given}))
    assert any(words in problem for problem in found), found


def test_a_critical_add_on_stays_in_kube_system_on_1_16() -> None:
    with pytest.raises(
        SettingsError, match=r"istio\.cni\.namespace: 'istio-system' can't hold the plugin on Kubernetes v1\.16\.3"
    ):
        parse(config() | {"istio": {"version": "1.5.0", "cni": {"namespace": "istio-system"}}}, "test")
    parse(config() | {"istio": {"version": "1.5.0", "cni": {"namespace": "istio-system", "enabled": False}}}, "test")


def test_crds_stay_unless_asked_for_in_words() -> None:
    istio = parse(config() | {"istio": {"version": "1.5.0"}}, "test").istio
    assert istio is not None
    assert istio.crds == "keep"
    with pytest.raises(SettingsError, match=r"istio\.crds"):
        parse(config() | {"istio": {"version": "1.5.0", "crds": True}}, "test")
