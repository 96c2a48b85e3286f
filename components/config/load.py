"""Pulumi's configuration as settings: nobody else reads it. Everything wrong is said at once, each line with the key, the reason and the fix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.config import fields, operator_file
from components.config.base import PROJECT, SettingsError, section
from components.config.cluster import ClusterSettings
from components.config.dashboards import DashboardSettings
from components.config.hosts import Ssh, listed_machines
from components.config.mesh import IstioSettings, following
from components.config.stack import Settings
from components.config.validate import checked, remarks, secrets_of_dashboards
from components.plan import Plan

SECRETS = (
    "password",
    "privateKey",
    "privateKeyPassphrase",
    "kialiPassphrase",
    "dashboardsPassword",
    "dashboardsTlsKey",
)

KEYS = ("masters", "nodes", "ssh", *SECRETS, "cluster", "istio", "dashboards")

NONE = {"none": True}
"""What `istio` and `dashboards` have in a stack that leaves them out: Pulumi.yaml's default, told by it from one that is there and empty."""


@dataclass(frozen=True)
class Credentials:
    """What opens the machines and the dashboards; every value a Pulumi secret."""

    password: pulumi.Output[str] | None = None
    private_key: pulumi.Output[str] | None = None
    private_key_passphrase: pulumi.Output[str] | None = None
    kiali_passphrase: pulumi.Output[str] | None = None
    dashboards_password: pulumi.Output[str] | None = None
    dashboards_tls_key: pulumi.Output[str] | None = None


def load(stack: str) -> tuple[Settings, Plan, Credentials]:
    """The running stack's settings, what they come to, and what opens its machines.

    Raises:
        pulumi.RunError: when the configuration can't be used; one readable message with every problem.
    """
    config = pulumi.Config(PROJECT)
    raw = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}.items()
        if key.startswith(f"{PROJECT}:")
    }
    try:
        values = _decoded(raw)
        settings, plan = parse_and_plan(values, stack)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
    for remark in remarks(settings, plan, values):
        pulumi.warn(remark)
    return settings, plan, Credentials(
        password=config.get_secret("password"),
        private_key=config.get_secret("privateKey"),
        private_key_passphrase=config.get_secret("privateKeyPassphrase"),
        kiali_passphrase=config.get_secret("kialiPassphrase") if raw.get("kialiPassphrase") else None,
        dashboards_password=config.get_secret("dashboardsPassword"),
        dashboards_tls_key=config.get_secret("dashboardsTlsKey"),
    )


def _decoded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Pulumi hands structures over as JSON text."""
    values: dict[str, Any] = dict(raw)
    problems = [
        f"{PROJECT}:{key} stands in plain text in the stack's file; set it with `pulumi config set --secret {PROJECT}:{key}`"
        for key in SECRETS
        if raw.get(key) and not pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}")
    ]
    for key in sorted((set(raw) & set(KEYS)) - set(SECRETS)):
        if pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}"):
            # where in it, the engine doesn't say, and hands it over in plain
            problems.append(
                f"{PROJECT}:{key} has a secret in it (`pulumi config set --secret --path`), which would stand in plain in the stack's state, "
                f"its history and its backups. Take it out (`pulumi config rm --path {PROJECT}:{key}.…`): secrets have keys of their own "
                f"({', '.join(SECRETS)}), and what a workload of the mesh needs besides belongs into a Secret of the cluster that its values "
                f"name. One that was used here before is in that history already; change it"
            )
            continue
        try:
            values[key] = json.loads(raw[key])
        except (ValueError, RecursionError):
            problems.append(
                f"{PROJECT}:{key} must be a YAML structure, not the text {raw[key]!r}; see Pulumi.walkthrough.yaml"
            )
    if problems:
        raise SettingsError(problems)
    return values


def parse(config: Mapping[str, Any], stack: str, directory: Path | None = None) -> Settings:
    """`parse_and_plan` for whoever needs the settings alone."""
    return parse_and_plan(config, stack, directory)[0]


def parse_and_plan(config: Mapping[str, Any], stack: str, directory: Path | None = None) -> tuple[Settings, Plan]:
    """The settings that a stack's configuration states, and what they come to.

    Args:
        config: values by key without the project's prefix: `masters` and `nodes` (lists), `ssh`, `cluster`, `istio`
            and `dashboards` (objects), and, for their presence only, the secrets.
        stack: the stack's name, which is the cluster's unless `cluster.name` says otherwise.
        directory: the project's, where files that the configuration names are; the working directory by default.

    Raises:
        SettingsError: with every problem found.
    """
    problems = [
        f"{PROJECT}:{key} is not a key of this program; known are {', '.join(KEYS)}"
        for key in sorted(set(config) - set(KEYS))
    ]
    if found := [line for key in KEYS if key not in SECRETS for line in fields.odd(f"{PROJECT}:{key}", config.get(key))]:
        raise SettingsError([*problems, *found])
    ssh, found = section(Ssh, "ssh", config.get("ssh", {}))
    problems += found
    cluster, found = section(ClusterSettings, "cluster", _named(config.get("cluster", {}), stack))
    problems += found
    network = cluster.network if cluster else None
    istio, found = _mesh(config["istio"], directory, network) if _there(config, "istio") else (None, [])
    problems += found
    dashboards, found = (
        section(DashboardSettings, "dashboards", config["dashboards"]) if _there(config, "dashboards") else (None, [])
    )
    problems += found
    problems += [
        f"{PROJECT}:{key} is empty, which may be a slip: it would take {what} away if there is one. Write what it is to have, or take the "
        f"key out, which means none"
        for key, what in (("istio", "the mesh with everything in it"), ("dashboards", "the ways in to the dashboards"))
        if key in config and not config[key]
    ]
    problems += secrets_of_dashboards(dashboards, config)
    machines, found = listed_machines(config, ssh)
    problems += found
    if not config.get("masters"):
        problems.append(
            f"{PROJECT}:masters names no machine; a cluster needs one master, or three or five for high availability"
        )
    given = config.get("ssh", {})
    # a key of it that is mistyped may be the very one; it is said already
    readable = isinstance(given, Mapping) and set(given) <= {field.alias for field in Ssh.model_fields.values()}
    if readable and not any(config.get(key) for key in ("password", "privateKey")) and not given.get("privateKeyFile"):
        problems.append(
            f"{PROJECT}:password, {PROJECT}:privateKey and {PROJECT}:ssh.privateKeyFile are all missing: nothing to log in with "
            f"(an agent is not enough, since sealos itself logs in from the first master); "
            f"`pulumi config set --secret {PROJECT}:password` sets one"
        )
    if problems or cluster is None or ssh is None:
        raise SettingsError(problems)
    settings = Settings(machines=tuple(machines), ssh=ssh, cluster=cluster, istio=istio, dashboards=dashboards)
    return settings, checked(settings)


def _there(config: Mapping[str, Any], key: str) -> bool:
    return bool(config.get(key)) and config[key] != NONE


def _named(cluster: Any, stack: str) -> Any:
    return {"name": stack, **cluster} if isinstance(cluster, Mapping) else cluster


def _mesh(data: Any, directory: Path | None, network: str | None) -> tuple[IstioSettings | None, list[str]]:
    """The mesh's settings, with the IstioOperator of `istio.file` where there is one, and the pod network's CNI chain."""
    if not isinstance(data, Mapping):
        return section(IstioSettings, "istio", data)
    if not isinstance(file := data.get("file"), str):
        return section(IstioSettings, "istio", following(data, network))
    read, problems = operator_file.read((directory or Path.cwd()) / file, file)
    if problems:
        return None, [f"{PROJECT}:istio.file: {problem}" for problem in problems]
    merged, doubled = operator_file.laid_over(data, read)
    if doubled:
        return None, [
            f"{PROJECT}:istio.{key} and {file} (istio.file) say different things; keep one" for key in doubled
        ]
    return section(IstioSettings, "istio", following(merged, network))
