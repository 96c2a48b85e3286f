"""What only the machines can tell: one message with host, reason and fix; exit status not 0; no traceback; nothing changed on any host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.machines import NAMES, Lab
from tests.project import KEY, Project

Config = dict[str, Any]
FILES = "find / -xdev -path /proc -prune -o -path /run -prune -o -path /var/log -prune -o -type f -printf '%p %s %T@\\n' | sort"


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Project:
    lab.reset()
    return Project.copy(tmp_path_factory.mktemp("refused") / "project", "refused", dev_config)


def wrong_password(config: Config) -> None:
    del config["ssh"]["privateKeyFile"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(wrong_password, ["refused the password of root", "sealos01", "sealos04"], id="wrong password"),
        pytest.param(
            lambda c: c["cluster"].update(package={"path": "/root/kube9.9.9.tar.gz"}),
            ["sealos01", "/root/kube9.9.9.tar.gz"],
            id="no package",
        ),
        pytest.param(
            lambda c: c["cluster"].update(package={"path": "/root/kube1.16.3.tar.gz", "sha256": "0" * 64}),
            ["sealos01", "/root/kube1.16.3.tar.gz", "sha256"],
            id="another package",
        ),
        pytest.param(
            lambda c: c["cluster"].update(sealos={"path": "/root/none"}), ["sealos01", "/root/none"], id="no sealos"
        ),
        pytest.param(
            lambda c: c["istio"].update(istioctl={"path": "/root/none"}),
            ["sealos01", "/root/none (istio.istioctl.path) is not there"],
            id="no istioctl",
        ),
        pytest.param(lambda c: c["nodes"][0].update(name="sealos09"), ["sealos09", "sealos02"], id="another host name"),
        pytest.param(
            lambda c: c["nodes"][1].update(hostKey=KEY), ["sealos03", "another host key"], id="host key"
        ),
    ],
)
def test_refused_before_anything_is_changed(
    project: Project, lab: Lab, dev_config: Config, change: Callable[[Config], object], expected: list[str]
) -> None:
    config = {**dev_config, "cluster": dict(dev_config["cluster"]), "ssh": dict(dev_config["ssh"])}
    config["nodes"] = [dict(node) for node in dev_config["nodes"]]
    config["istio"] = {**dev_config["istio"], "ingressGateways": []}
    change(config)
    project.write_config(config)
    if change is wrong_password:
        secret = project.pulumi(
            "config", "set", "--secret", "--stack", "refused", "sealos-istio:password", stdin="wrong"
        )
        assert secret.status == 0, secret.text
    before = {name: lab.run(name, "sh", "-c", FILES).stdout for name in NAMES}
    done = project.up()
    assert done.status != 0
    assert all(part in done.text for part in expected), done.text
    assert "Traceback" not in done.text
    assert "cluster-install" not in done.text
    assert {name: lab.run(name, "sh", "-c", FILES).stdout for name in NAMES} == before
