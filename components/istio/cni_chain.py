"""What a node's CNI plugin chain must look like once istio-cni has joined it. Pure: no Pulumi, no SSH.

Sources: Istio 1.5.0, manifests/istio-cni/templates/; istio/cni, install-cni.sh; CNI specification 0.3.1, "Network
Configuration Lists"; Istio 1.23.2, cni/pkg/install/cniconfig.go and cni/pkg/plugin/plugin.go. A ready istio-cni-node pod
proves nothing on 1.5: its DaemonSet has no readiness probe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from components.istio.releases.table import release
from components.kubernetes.values import as_map
from components.problem import Code, Problem
from components.remote.models import Request

if TYPE_CHECKING:
    from components.config.mesh import IstioSettings  # the driver on a node's behalf reads no settings

CONFIG_FOLDER = "/etc/cni/net.d"
BINARY = "/opt/cni/bin/istio-cni"
KUBECONFIG = f"{CONFIG_FOLDER}/ZZZ-istio-cni-kubeconfig"
AGENT_KUBECONFIG = "/var/run/istio-cni/istio-cni-kubeconfig"
"""Where 1.23's agent keeps it."""

PLUGIN = "istio-cni"


class CniChain(Request):
    """The wanted end of a node's chain.

    Attributes:
        config_file: the chain's file in /etc/cni/net.d.
        excluded_namespaces: exactly those that the plugin leaves alone.
        log_level: the plugin's.
        agent: whether 1.23's agent writes it (see components/istio/releases/table.py, `cni_agent`).
    """

    config_file: str
    excluded_namespaces: tuple[str, ...]
    log_level: str
    agent: bool = False

    @property
    def kubeconfig(self) -> str:
        """With what the plugin asks the API server."""
        return AGENT_KUBECONFIG if self.agent else KUBECONFIG

    def asked(self) -> dict[str, bytes]:
        """The files that cni_look.sh reads."""
        return {"config_file": self.config_file.encode(), "kubeconfig_path": self.kubeconfig.encode()}


def unfit(istio: IstioSettings) -> Iterator[str]:
    """Settings with which the plugin would not end the chain that the nodes use, or no pod would count on it, one line each."""
    injector = istio.values.get("istio_cni")
    if isinstance(injector, Mapping) and (told := injector.get("enabled")) not in (None, istio.cni.enabled):
        yield f"istio.values.istio_cni.enabled is {told!r}, but istio.cni.enabled, which stands for both, is {istio.cni.enabled}; leave it out"
    if not istio.cni.enabled:
        return
    yield from _own_variables(istio.cni.k8s)
    chart = {**as_map(injector), **as_map(istio.values.get("cni"))}
    for key, value in (("cniBinDir", str(PurePosixPath(BINARY).parent)), ("cniConfDir", CONFIG_FOLDER)):
        if str(chart.get(key) or value).rstrip("/") != value:
            yield (
                f"istio.values.cni.{key} is {chart[key]!r}, but the kubelet of sealos's clusters looks in {value}, and would never call the "
                f"plugin; leave it out"
            )
    if chart.get("chained") in (False, "false"):
        yield (
            f"istio.values.{'cni' if as_map(istio.values.get('cni')).get('chained') is not None else 'istio_cni'}.chained: false makes the plugin a network of its own, which pods of a mesh don't ask for; leave it out, "
            "or set istio.cni.enabled: false"
        )


_VARIABLES: Mapping[str, str] = {
    "CNI_CONF_NAME": "istio.cni.configFile says which file it is",
    "EXCLUDE_NAMESPACES": "istio.cni.excludeNamespaces says which they are",
    "CHAINED_CNI_PLUGIN": "the pod network's chain is the only one",
    **dict.fromkeys(("CNI_NET_DIR", "MOUNTED_CNI_NET_DIR"), f"the kubelet of sealos's clusters looks in {CONFIG_FOLDER}"),
}
"""The installer's own variables, which the checks of the nodes' chains would not know of, each with why."""


def _own_variables(k8s: Mapping[str, Any]) -> Iterator[str]:
    for position, variable in enumerate(k8s.get("env") or ()):
        if (name := str(as_map(variable).get("name"))) in _VARIABLES:
            yield f"istio.cni.k8s.env[{position}] sets {name}, but {_VARIABLES[name]}; take it out"
    for position, overlay in enumerate(k8s.get("overlays") or ()):
        for number, patch in enumerate(patches if isinstance(patches := overlay.get("patches"), list) else ()):
            path, value = str(as_map(patch).get("path")), as_map(as_map(patch).get("value"))
            for name, why in _VARIABLES.items():
                if f"[name:{name}]" in path or value.get("name") == name:
                    yield f"istio.cni.k8s.overlays[{position}].patches[{number}] sets {name}, but {why}; take it out"


def wanted(istio: IstioSettings) -> CniChain:
    """The end that these settings want of every node's chain."""
    return CniChain(
        config_file=istio.cni.config_file,
        excluded_namespaces=istio.cni.exclude_namespaces,
        log_level=istio.cni.log_level,
        agent=release(istio.version).cni_agent,
    )


class NodeFiles(Request):
    """What one node has.

    Attributes:
        listed: names of the *.conf and *.conflist files in the folder, in the order that kubelet reads them.
        conflist: the chain's file as text; None when it isn't there.
        binary: permissions of the plugin (octal); None when it isn't there.
        kubeconfig: permissions of the plugin's kubeconfig (octal); None when it isn't there.
        rights: what the API server says when the plugin asks whether it may get pods: `yes`, or `no` and a reason; None when it
            could not be asked from there.
    """

    listed: tuple[str, ...]
    conflist: str | None
    binary: str | None
    kubeconfig: str | None
    rights: str | None = None


def problems(node: str, chain: CniChain, files: NodeFiles) -> list[Problem]:
    """Everything that is wrong on a node; empty when its chain is as wanted."""
    return [Problem(code, node, text) for code, text in _problems(chain, files)]


def _problems(chain: CniChain, files: NodeFiles) -> Iterator[tuple[Code, str]]:
    path = f"{CONFIG_FOLDER}/{chain.config_file}"
    if files.conflist is None:
        others = f"; there are {', '.join(files.listed)}" if files.listed else ""
        yield Code.CNI_FILE, f"{path} does not exist{others}"
    else:
        yield from _plugins(chain, path, files.conflist)
        if files.listed and files.listed[0] != chain.config_file:
            yield Code.CNI_ORDER, f"{CONFIG_FOLDER}/{files.listed[0]} comes before {chain.config_file}, so kubelet uses that one"
    if files.binary is None:
        yield Code.CNI_PLUGIN, f"{BINARY} does not exist"
    elif not int(files.binary, 8) & 0o111:
        yield Code.CNI_PLUGIN, f"{BINARY} is not executable (mode {files.binary})"
    if files.kubeconfig is None:
        yield Code.CNI_PLUGIN, f"{chain.kubeconfig} does not exist, so the plugin can't ask the API server"
    elif int(files.kubeconfig, 8) & 0o077:
        yield Code.CNI_PLUGIN, f"{chain.kubeconfig} holds a token and has mode {files.kubeconfig}, not 600"
    if files.rights not in (None, "yes"):
        yield Code.CNI_RIGHTS, f"with {chain.kubeconfig} the plugin may not get pods ({files.rights}), so pods would start without Istio's rules (istio#17583)"


def _plugins(chain: CniChain, path: str, text: str) -> Iterator[tuple[Code, str]]:
    try:
        plugins: list[dict[str, Any]] = json.loads(text)["plugins"]
        types = [plugin.get("type") for plugin in plugins]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield Code.CNI_FILE, f"{path} is no list of plugins ({type(error).__name__}: {error})"
        return
    if PLUGIN not in types:
        yield Code.CNI_CHAIN, f"{path} has no {PLUGIN}, only {', '.join(map(str, types))}"
        return
    if (count := types.count(PLUGIN)) > 1:
        yield Code.CNI_CHAIN, f"{path} has {PLUGIN} {count} times"
    if set(types) == {PLUGIN}:
        # so 1.5's installer writes the file when it comes before the pod network's own (istio#11037)
        yield Code.CNI_CHAIN, f"{path} has {PLUGIN} alone, so nothing gives pods a network: is the pod network running on this node?"
    if types[-1] != PLUGIN:
        yield Code.CNI_CHAIN, f"{path} ends with {types[-1]}, not {PLUGIN}: something wrote to the chain after it"
    plugin = plugins[types.index(PLUGIN)]
    holder, level = (plugin, "plugin_log_level") if chain.agent else (plugin.get("kubernetes"), "log_level")
    listed = holder.get("exclude_namespaces") if isinstance(holder, dict) else None
    excluded = {str(name) for name in listed or ()}
    wanted = set(chain.excluded_namespaces)
    if missing := sorted(wanted - excluded):
        yield Code.CNI_SETTINGS, f"{path}: {PLUGIN} does not exclude {', '.join(missing)}"
    if more := sorted(excluded - wanted):
        yield Code.CNI_SETTINGS, f"{path}: {PLUGIN} also excludes {', '.join(more)}"
    if plugin.get(level) != chain.log_level:
        yield Code.CNI_SETTINGS, f"{path}: {PLUGIN} logs at {plugin.get(level)!r}, wanted {chain.log_level!r}"


def without_plugin(conflist: str) -> str | None:
    """The chain without the plugin, as text; None when it isn't in it (or the text is no chain, which then is not ours)."""
    try:
        chain: dict[str, Any] = json.loads(conflist)
        plugins = [plugin for plugin in chain["plugins"] if plugin.get("type") != PLUGIN]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if len(plugins) == len(chain["plugins"]):
        return None
    return json.dumps({**chain, "plugins": plugins}, indent=2) + "\n"
