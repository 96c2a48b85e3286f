"""SealosCluster's resources: names, edges, what is secret, and which change touches what. By mocks; no engine, no host."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
import yaml

from components.config.load import Credentials, parse
from components.config.stack import Settings
from components.plan import plan_of
from components.remote.fleet import fleet_request
from components.sealos.cluster import SealosCluster, SealosClusterArgs
from tests.graph import mocked
from tests.graph.mocked import plain
from tests.project import members

PASSWORD = "TOPSECRET-password"
KUBECONFIG = "kind: Config # TOPSECRET-kubeconfig\nclusters: [{name: k, cluster: {server: 'https://192.0.2.11:6443'}}]"
BACKUP = "TOPSECRET-backup"
NODES = [{"name": "sealos01", "address": "192.0.2.11", "role": "master", "version": "v1.16.3"}]
ANSWERS = {"kubeconfig": KUBECONFIG, "backup": BACKUP, "ready": json.dumps(NODES), "look": json.dumps({"said": [], "kubeconfig": "a digest"})}


def stack(names: int = 4, **cluster: Any) -> Settings:
    return parse({**members(names), "password": "set", "cluster": cluster}, "dev")


class Seen:
    """What one run of the program registered and gave out."""

    def __init__(self, settings: Settings, password: str = PASSWORD) -> None:
        def program() -> dict[str, pulumi.Output[Any]]:
            fleet = fleet_request(settings, Credentials(password=pulumi.Output.secret(password)))
            cluster = SealosCluster("cluster", SealosClusterArgs(settings, plan_of(settings).host_gateways, fleet))
            return {
                "kubeconfig": cluster.kubeconfig,
                "sealosBackup": cluster.sealos_backup,
                "apiServer": cluster.api_server,
                "nodes": cluster.nodes,
            }

        with mocked.engine(ANSWERS) as self.engine:
            found = mocked.resolved(program)
        self.outputs = {name: value for name, (value, _) in found.items()}
        self.secret = {name: secret for name, (_, secret) in found.items()}
        self.commands = self.engine.commands
        self.requests = self.engine.requests

    def command(self, name: str) -> dict[str, Any]:
        return self.commands()[name]

    def edges(self, name: str) -> set[str]:
        """The resources that must be there before this one, without the component's own name before them."""
        return {other.removeprefix("cluster-") for other in self.engine.after(f"cluster-{name}")}

    def request(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(plain(self.command(name)["stdin"]))
        return data


def test_names_and_verbs() -> None:
    seen = Seen(stack())
    assert {name: inputs["create"] for name, inputs in seen.commands().items()} == {
        "cluster-preflight": "python3 -m components.sealos preflight",
        "cluster-install": "python3 -m components.sealos install",
        "cluster-wanted": "python3 -m components.sealos want",
        "cluster-member-sealos02": "python3 -m components.sealos join",
        "cluster-member-sealos03": "python3 -m components.sealos join",
        "cluster-member-sealos04": "python3 -m components.sealos join",
        "cluster-kubeconfig": "python3 -m components.sealos kubeconfig",
        "cluster-backup": "python3 -m components.sealos backup",
        "cluster-ready": "python3 -m components.sealos ready",
    }
    assert seen.engine.types["cluster"] == "sealos-istio:sealos:Cluster"
    assert seen.engine.types["cluster-provider"] == "pulumi:providers:kubernetes"


def test_every_verb_is_one_of_the_drivers() -> None:
    from components.sealos.__main__ import VERBS

    used = {
        inputs[key].removeprefix("python3 -m components.sealos ")
        for inputs in Seen(stack(package={"file": "package", "sha256": "a" * 64}, identityChange="replace")).commands().values()
        for key in ("create", "update", "delete")
        if key in inputs
    }
    assert used | {"look"} == set(VERBS)


def test_every_request_is_what_its_driver_reads() -> None:
    from components.sealos.__main__ import VERBS

    seen = Seen(
        stack(certSans=["k8s.example.org"], interface="eth0", package={"path": "/root/k.tar.gz", "sha256": "a" * 64})
    )
    for name, inputs in seen.commands().items():
        verb = inputs["create"].split()[-1]
        request: Any = VERBS[verb].request.model_validate(seen.request(name))
        assert request.fleet.login.password.get_secret_value() == PASSWORD


def test_a_setting_that_came_later_changes_no_state_at_its_default() -> None:
    assert "joinBatch" not in Seen(stack()).request("cluster-wanted")
    assert Seen(stack(joinBatch=3)).request("cluster-wanted")["joinBatch"] == 3


def test_nothing_secret_is_in_plain() -> None:
    seen = Seen(stack())
    for name, inputs in seen.engine.inputs.items():
        shown = json.dumps({k: v for k, v in inputs.items() if not isinstance(v, dict)}, default=str)
        assert "TOPSECRET" not in shown, name
    assert seen.secret == {"kubeconfig": True, "sealosBackup": True, "apiServer": False, "nodes": False}
    assert seen.outputs["kubeconfig"] == KUBECONFIG
    assert seen.outputs["nodes"] == NODES
    assert seen.outputs["apiServer"] == "https://192.0.2.11:6443"
    for name in ("kubeconfig", "backup"):
        assert seen.command(f"cluster-{name}")["logging"] == "none"
    assert plain(seen.engine.inputs["cluster-provider"]["kubeconfig"]) == KUBECONFIG


def test_a_step_reaches_only_whom_it_needs() -> None:
    seen = Seen(stack())

    def reached(name: str) -> list[str]:
        return [machine["name"] for machine in seen.request(name)["fleet"]["machines"]]

    assert reached("cluster-preflight") == ["sealos01", "sealos02", "sealos03", "sealos04"]
    assert reached("cluster-member-sealos03") == ["sealos01", "sealos03"]
    for name in ("install", "wanted", "kubeconfig", "backup", "ready"):
        assert reached(f"cluster-{name}") == ["sealos01"]


def changed(before: Seen, after: Seen) -> set[str]:
    old, new = before.engine.inputs, after.engine.inputs
    return {name for name in old.keys() & new.keys() if old[name] != new[name]}


def test_one_more_node_touches_nothing_but_the_lists() -> None:
    before, after = Seen(stack(3)), Seen(stack(4))
    assert set(after.commands()) - set(before.commands()) == {"cluster-member-sealos04"}
    assert changed(before, after) == {"cluster-preflight", "cluster-wanted", "cluster-backup", "cluster-ready"}


def test_a_new_password_replaces_nothing() -> None:
    before, after = Seen(stack()), Seen(stack(), "TOPSECRET-other")
    assert changed(before, after) == set(before.commands())
    for name in before.commands():
        old, new = before.command(name), after.command(name)
        assert {key for key in old if old[key] != new[key]} == {"stdin"}, name
        assert old.get("triggers") == new.get("triggers"), name
    assert after.command("cluster-install")["update"].endswith(" update"), "an update must never install"


def test_the_kubeconfig_is_read_again_when_it_is_another_one_on_the_machine_only() -> None:
    assert Seen(stack()).command("cluster-kubeconfig")["environment"] == {"KUBECONFIG_SHA256": "a digest"}
    requests = Seen(stack()).requests
    ignored = {name: list(request.ignoreChanges) for name, request in requests.items() if request.ignoreChanges}
    assert ignored == {"cluster-kubeconfig": ["stdin"]}, (
        "a new password would show everything in the cluster as changed"
    )


def test_only_members_and_the_kubeconfig_have_triggers() -> None:
    assert {name: inputs["triggers"] for name, inputs in Seen(stack()).commands().items() if "triggers" in inputs} == {
        **{f"cluster-member-sealos0{n}": [f"192.0.2.1{n}", "node"] for n in (2, 3, 4)},
        "cluster-kubeconfig": ["192.0.2.11"],
    }


def test_what_is_undone_on_destroy() -> None:
    commands = Seen(stack()).commands()
    assert {name: inputs["delete"].split()[-1] for name, inputs in commands.items() if "delete" in inputs} == {
        "cluster-preflight": "sweep",
        "cluster-install": "clean",
        "cluster-member-sealos02": "leave",
        "cluster-member-sealos03": "leave",
        "cluster-member-sealos04": "leave",
    }


@pytest.mark.parametrize(("version", "server_side"), [("v1.15.12", "false"), ("v1.16.3", "true"), ("v1.22.0", "true")])
def test_provider(version: str, server_side: str) -> None:
    provider = Seen(stack(kubernetesVersion=version)).engine.inputs["cluster-provider"]
    assert provider["clusterIdentifier"] == "dev"
    assert str(provider["enableServerSideApply"]).lower() == server_side


def reached(**cluster: Any) -> tuple[Seen, dict[str, str]]:
    """A run, and the cluster that the provider's kubeconfig has, which is the output's, too, and a secret."""
    seen = Seen(stack(**cluster))
    assert seen.secret["kubeconfig"]
    assert plain(seen.engine.inputs["cluster-provider"]["kubeconfig"]) == seen.outputs["kubeconfig"]
    found: dict[str, str] = yaml.safe_load(seen.outputs["kubeconfig"])["clusters"][0]["cluster"]
    return seen, found


def test_the_api_server_at_another_place() -> None:
    seen, cluster = reached(apiEndpoint="k8s.example.org:8443", certSans=["*.example.org"])
    assert cluster == {"server": "https://k8s.example.org:8443"} == {"server": seen.outputs["apiServer"]}
    assert seen.command("cluster-kubeconfig") == Seen(stack(certSans=["*.example.org"])).command("cluster-kubeconfig")


def test_the_api_server_by_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    monkeypatch.setattr("components.sealos.cluster.hold_for_this_run", lambda fleet, port: held.append((fleet["login"]["password"], port)))
    seen, cluster = reached(apiTunnel=16443)
    assert cluster == {"server": "https://127.0.0.1:16443", "tls-server-name": "192.0.2.11"}
    assert held == [(PASSWORD, 16443)]
    assert seen.outputs["apiServer"] == "https://192.0.2.11:6443"
    assert seen.command("cluster-kubeconfig") == Seen(stack()).command("cluster-kubeconfig")


def test_no_path_of_this_machine() -> None:
    for name, inputs in Seen(stack()).commands().items():
        assert not {"dir", "interpreter", "assetPaths", "archivePaths"} & set(inputs), name
        assert ("environment" in inputs) == (name in ("cluster-install", "cluster-kubeconfig"))
        assert inputs["addPreviousOutputInEnv"] is False


def test_edges() -> None:
    seen = Seen(stack())
    members = {f"member-sealos0{n}" for n in (2, 3, 4)}
    assert seen.edges("preflight") == set()
    assert seen.edges("install") == {"preflight"}
    assert seen.edges("wanted") == {"install"}
    for member in members:
        assert seen.edges(member) == {"wanted"}, "members don't wait for each other: the first one joins all"
    assert seen.edges("kubeconfig") == {"install", "wanted"}, "an update looks first, after the list of wanted machines"
    assert seen.edges("backup") == {"wanted"} | members, "taken after every join"
    assert seen.edges("ready") == {"wanted"} | members
    assert seen.edges("provider") >= {"kubeconfig", "ready"}, "what lives in the cluster waits for its nodes"


def test_what_goes_with_the_cluster() -> None:
    seen = Seen(stack())
    requests = seen.requests
    with_it = {name for name, request in requests.items() if request.deletedWith.endswith("::cluster-wanted")}
    others = {"cluster-preflight", "cluster-install", "cluster-wanted"}
    assert with_it == set(seen.commands()) - others | {"cluster-provider"}
    assert requests["cluster-wanted"].deletedWith.endswith("::cluster-install")
    for name in ("cluster-install", "cluster-member-sealos02", "cluster-member-sealos04"):
        assert requests[name].deleteBeforeReplace, f"{name}: a late delete of the old would take the new with it"


def test_secret_outputs_and_protection() -> None:
    requests = Seen(stack(protect=True)).requests
    for name in ("kubeconfig", "backup"):
        assert set(requests[f"cluster-{name}"].additionalSecretOutputs) >= {"stdout", "stderr"}
    assert {name for name, request in requests.items() if request.protect} == {"cluster-install"}
    assert not any(request.protect for request in Seen(stack()).requests.values())


def test_what_a_live_cluster_keeps_is_refused_in_the_preview() -> None:
    before, after = Seen(stack()), Seen(stack(vip="10.103.97.9", certSans=["k8s.example.org"]))
    install = after.requests["cluster-install"]
    assert list(install.hooks.before_update) == ["cluster-identity"]
    hook = after.engine.hooks.registered["cluster-identity"]
    assert hook.opts is not None
    assert hook.opts.on_dry_run

    def judge(new: Seen) -> None:
        old = before.command("cluster-install")
        hook(
            pulumi.ResourceHookArgs(
                urn="", id="", name="", type="", old_inputs=old, new_inputs=new.command("cluster-install")
            )
        )

    with pytest.raises(
        ValueError, match=r"cluster\.vip: '10\.103\.97\.2' there, '10\.103\.97\.9' in the settings"
    ) as refused:
        judge(after)
    assert "cluster.certSans: [] there, ['k8s.example.org']" in str(refused.value)
    judge(Seen(stack(4), "TOPSECRET-other"))  # a node more and another password are no other cluster
    assert "environment" not in install.replaceOnChanges
    asked = Seen(stack(identityChange="replace")).requests["cluster-install"]
    assert "environment" in asked.replaceOnChanges


def test_etcd_is_saved_before_a_cluster_is_replaced() -> None:
    asked = Seen(stack(identityChange="replace"))
    assert "etcd-snapshot" in asked.edges("install")
    assert "cluster-etcd-snapshot" not in Seen(stack()).commands()


def test_a_folder_for_snapshots_of_etcd_is_recorded_only_where_it_is_another() -> None:
    assert "etcdBackups" not in Seen(stack()).request("cluster-wanted")
    assert Seen(stack(etcdBackups="~/etcd")).request("cluster-wanted")["etcdBackups"] == "~/etcd"


def test_what_is_made_anew_with_a_replaced_cluster() -> None:
    seen = Seen(stack())
    with_it = {
        name for name, request in seen.requests.items()
        if [urn.split("::")[-1] for urn in request.replace_with] == ["cluster-install"]
    }  # fmt: skip
    assert with_it == set(seen.commands()) - {"cluster-preflight", "cluster-install"} | {"cluster-provider"}


def test_every_step_belongs_to_the_component() -> None:
    for name, request in Seen(stack()).requests.items():
        if name.startswith("cluster-"):
            assert request.parent.endswith("sealos-istio:sealos:Cluster::cluster"), name


def test_what_the_user_has_not_put_there_is_sent_before_the_installation() -> None:
    sha = "a" * 64
    seen = Seen(
        stack(
            package={"url": "https://example.org/kube.tar.gz", "sha256": sha}, sealos={"file": "sealos", "sha256": sha}
        )
    )
    assert seen.edges("package") == seen.edges("sealos") == {"preflight"}
    assert seen.edges("install") == {"preflight", "package", "sealos"}
    assert seen.edges("member-sealos02") == {"wanted", "package", "sealos"}
    request = seen.request("cluster-package")
    assert request["artifact"] == {"path": "/root/kube.tar.gz", "sha256": sha, "url": "https://example.org/kube.tar.gz"}
    assert request["machines"] == ["sealos01", "sealos02", "sealos03", "sealos04"]
    assert [machine["name"] for machine in request["fleet"]["machines"]] == ["sealos01"]
    assert request["kubernetesVersion"] == "v1.16.3"
    # it is taken off again after the cluster, which needs it for that
    assert not seen.requests["cluster-package"].deletedWith
    # where it comes from touches neither the cluster nor its members
    for name in ("cluster-install", "cluster-member-sealos02"):
        assert seen.request(name)["package"] == {"path": "/root/kube.tar.gz", "sha256": sha}
