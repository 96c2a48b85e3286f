"""The whole program by the real engine's preview: operation, URN and dependencies of every resource. No host, no cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.project import ROOT, Project, config_of, stack_config

NODES = ("sealos02", "sealos03", "sealos04")
CLUSTER = "sealos-istio:sealos:Cluster"
OPERATOR = "sealos-istio:istio:Operator"
MESH = "sealos-istio:istio:ControlPlane"
COMMAND = "command:local:Command"

# type of the parents and its own, name, and what it waits for (besides its provider, and what its inputs come from)
EXPECTED: dict[tuple[str, str], set[str]] = {
    (CLUSTER, "cluster"): set(),
    (f"{CLUSTER}${COMMAND}", "cluster-preflight"): set(),
    (f"{CLUSTER}${COMMAND}", "cluster-install"): {"cluster-preflight"},
    (f"{CLUSTER}${COMMAND}", "cluster-wanted"): {"cluster-install"},
    **{(f"{CLUSTER}${COMMAND}", f"cluster-member-{node}"): {"cluster-wanted"} for node in NODES},
    (f"{CLUSTER}${COMMAND}", "cluster-kubeconfig"): {"cluster-install"},
    (f"{CLUSTER}${COMMAND}", "cluster-backup"): {"cluster-wanted", *(f"cluster-member-{node}" for node in NODES)},
    (f"{CLUSTER}${COMMAND}", "cluster-ready"): {"cluster-wanted", *(f"cluster-member-{node}" for node in NODES)},
    (f"{CLUSTER}$pulumi:providers:kubernetes", "cluster-provider"): {"cluster-kubeconfig", "cluster-ready"},
    (OPERATOR, "istio-operator"): set(),
    (f"{OPERATOR}$kubernetes:core/v1:Namespace", "istio-operator-namespace"): set(),
    (f"{OPERATOR}$kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "istio-operator-crd"): set(),
    (f"{OPERATOR}$kubernetes:core/v1:ServiceAccount", "istio-operator-service-account"): {"istio-operator-namespace"},
    (f"{OPERATOR}$kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "istio-operator-cluster-role"): set(),
    (f"{OPERATOR}$kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding", "istio-operator-cluster-role-binding"): {
        "istio-operator-cluster-role",
        "istio-operator-service-account",
    },
    (f"{OPERATOR}$kubernetes:apps/v1:Deployment", "istio-operator-deployment"): {
        "istio-operator-namespace",
        "istio-operator-service-account",
        "istio-operator-cluster-role-binding",
        "istio-operator-crd",
    },
    (f"{OPERATOR}$kubernetes:core/v1:Service", "istio-operator-service"): {"istio-operator-deployment"},
    (MESH, "istio"): set(),
    (f"{MESH}$kubernetes:core/v1:Namespace", "istio-namespace"): set(),
    (f"{MESH}${COMMAND}", "istio-leftovers"): set(),
    (f"{MESH}${COMMAND}", "istio-kiali-passphrase"): set(),
    (f"{MESH}$kubernetes:core/v1:Secret", "istio-kiali"): {"istio-namespace", "istio-kiali-passphrase"},
    (f"{MESH}$kubernetes:install.istio.io/v1alpha1:IstioOperator", "istio-istio-operator"): {
        "istio-namespace",
        "istio-leftovers",
        "istio-kiali",
        "istio-operator-namespace",
        "istio-operator-deployment",
        "istio-operator-service-account",
        "istio-operator-cluster-role",
        "istio-operator-cluster-role-binding",
        "istio-operator-crd",
    },
    (f"{MESH}$pulumi:index:Stash", "istio-rendered"): set(),
    (f"{MESH}${COMMAND}", "istio-gate"): {"istio-istio-operator", "istio-rendered"},
    ("sealos-istio:istio:CniCheck", "istio-cni"): set(),
    **{
        (f"sealos-istio:istio:CniCheck${COMMAND}", f"istio-cni-{machine}"): {"istio-gate", "cluster-provider"}
        for machine in ("sealos01", *NODES)
    },
    ("sealos-istio:istio:Istioctl", "istioctl"): {"cluster-install"},
    (f"sealos-istio:istio:Istioctl${COMMAND}", "istioctl-install"): set(),
}
EXPECTED["sealos-istio:Protection", "cluster.protect"] = {
    name for kind, name in EXPECTED if "$" in kind or kind.startswith(("kubernetes:", "command:"))
}
GOES_WITH_THE_CLUSTER = {
    name
    for kind, name in EXPECTED
    if kind.startswith((OPERATOR, MESH)) or name in ("cluster-provider", "cluster-wanted", "cluster-kubeconfig", "cluster-backup", "cluster-ready")
    or name.startswith("cluster-member-")
}  # fmt: skip


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Project.copy(tmp_path_factory.mktemp("program") / "project", "dev", stack_config()).preview()


def kind_and_name(urn: str) -> tuple[str, str]:
    *_, kind, name = urn.split("::")
    return kind, name


def test_a_first_preview_creates_exactly_this_graph(preview: dict[str, Any]) -> None:
    steps = {kind_and_name(step["urn"]): step for step in preview["steps"]}
    stack = steps.pop(("pulumi:pulumi:Stack", "sealos-istio-dev"))
    assert {step["op"] for step in (stack, *steps.values())} == {"create"}
    found = {
        key: {kind_and_name(urn)[1] for urn in step["newState"].get("dependencies", [])} for key, step in steps.items()
    }
    assert found == EXPECTED


def test_every_kubernetes_object_uses_the_clusters_own_provider(preview: dict[str, Any]) -> None:
    objects = [step for step in preview["steps"] if "$kubernetes:" in step["urn"]]
    assert len(objects) == 10
    assert all("::cluster-provider::" in step["newState"]["provider"] for step in objects)


def test_what_goes_with_the_cluster_is_not_taken_apart_first(preview: dict[str, Any]) -> None:
    with_cluster: dict[str, set[str]] = {}
    for step in preview["steps"]:
        if condemned := step["newState"].get("deletedWith"):
            with_cluster.setdefault(kind_and_name(condemned)[1], set()).add(kind_and_name(step["urn"])[1])
            # the engine looks for what it is deleted_with among what is replaced, when the installation is
            assert [kind_and_name(urn)[1] for urn in step["newState"]["replaceWith"]] == ["cluster-install"], step["urn"]
    assert with_cluster == {
        "cluster-install": {"cluster-wanted"},
        "cluster-wanted": GOES_WITH_THE_CLUSTER - {"cluster-wanted"},
    }


def test_the_walkthroughs_own_stack_previews_as_it_is(tmp_path: Path) -> None:
    """Pulumi.walkthrough.yaml, with its committed salt and secret."""
    project = Project.copy(tmp_path / "project", "scratch", {})
    (project.directory / "Pulumi.walkthrough.yaml").write_text((ROOT / "Pulumi.walkthrough.yaml").read_text())
    project.stack = "walkthrough"
    project.environment["PULUMI_CONFIG_PASSPHRASE"] = "lab"
    assert project.pulumi("stack", "init", "walkthrough").status == 0
    steps = project.preview()["steps"]
    assert {kind_and_name(s["urn"]) for s in steps if s["urn"].split("::")[-1] != "sealos-istio-walkthrough"} == set(
        EXPECTED
    )
    [install] = [step for step in steps if step["urn"].endswith("::cluster-install")]
    assert "change-me" not in str(install), "the password shows in a preview"


def test_preview_imports_no_heavy_module() -> None:
    """What costs tenths of a second at every preview and is not needed there."""
    look = (
        "import sys; sys.path.insert(0, '.')\n"
        "import components.sealos.cluster, components.istio.control_plane, components.istio.operator, components.remote.fleet\n"
        "heavy = ('asyncssh', 'cryptography', 'pulumi_kubernetes.core.v1', 'pulumi_kubernetes.apps.v1', 'yaml')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['yaml']"), done.stdout


@pytest.mark.parametrize("package", ["sealos", "istio", "dashboards"])
def test_a_step_imports_no_pulumi(package: str) -> None:
    """It costs a quarter of a second of every step, and there is a step a node."""
    look = f"import sys; import components.{package}.__main__; print('pulumi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_main_reads_on_one_screen() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 60


def test_the_lab_is_never_imported_by_the_program() -> None:
    for file in (ROOT / "components").rglob("*.py"):
        assert "import lab" not in file.read_text()
        assert "from lab" not in file.read_text()
    assert socket.gethostname() not in (ROOT / "Pulumi.dev.yaml").read_text()


def test_machines_with_their_full_host_names(tmp_path: Path) -> None:
    """A dot in a name is no harm to a resource's."""
    text = (ROOT / "Pulumi.dev.yaml").read_text().replace("sealos0", "host0")
    for number in range(1, 5):
        text = text.replace(f"host0{number}", f"sealos0{number}.example.com")
    preview = Project.copy(tmp_path / "project", "dev", config_of(text)).preview()
    names = {kind_and_name(step["urn"])[1] for step in preview["steps"]}
    assert {f"cluster-member-{node}.example.com" for node in NODES} < names
    assert {f"istio-cni-{machine}.example.com" for machine in ("sealos01", *NODES)} < names
