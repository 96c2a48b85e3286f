"""The images of the lab's machines: what is real in them, what is a stand-in, and under which names."""

from collections.abc import Callable
from pathlib import Path

from devtools import parts, releases
from lab.images import Image, Layer, libraries
from lab.package import CALICO, Release

HERE = Path(__file__).parent


def kubernetes(release: Release, binary: Callable[[str], Path]) -> list[Image]:
    """What a real package has in images.tar.

    Args:
        release: whose package.
        binary: finds a program that is built; ToolMissing when there is none.
    """
    made, usr = binary("images"), binary("usr")
    pods, busybox = made / "pods", made / "busybox"
    programs = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    kube = "/usr/local/bin/kube"
    plane = Layer(
        {
            kube[1:]: binary("kube"),
            **dict.fromkeys((*(f"usr/local/bin/{name}" for name in programs), "usr/local/libexec/kube-proxy"), kube),
        }
    )
    network = [usr / "sbin/nft", usr / "sbin/xtables-nft-multi"]
    modules = usr / "lib/x86_64-linux-gnu/xtables"
    names = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
    tables = Layer(
        {
            **{path: f"usr/{path}" for path in ("bin", "sbin", "lib", "lib64")},
            **libraries([*network, *sorted(modules.glob("*.so"))], usr),
            "usr/lib/x86_64-linux-gnu/xtables": modules,
            **{f"usr/sbin/{program.name}": program for program in network},
            **{f"usr/sbin/{name}": "xtables-nft-multi" for name in names},
            "usr/sbin/conntrack": usr / "sbin/conntrack",
            "usr/bin/busybox": busybox,
            **{f"usr/bin/{name}": "busybox" for name in ("sh", "sed", "cat", "ip", "ls")},
            "tmp": None,
            "run": None,
        }
    )
    shell = Layer({"bin/busybox": busybox, **{f"bin/{name}": "busybox" for name in ("sh", "ip", "cat", "ls")}})

    def pod(*paths: str) -> Layer:
        return Layer(dict.fromkeys(paths, pods))

    repo, tags = "k8s.gcr.io", release.tags
    return [
        Image(tuple(f"{repo}/{name}:{release.version}" for name in programs), (plane,)),
        Image(
            (f"{repo}/kube-proxy:{release.version}",),
            (plane, tables, Layer({"usr/local/bin/kube-proxy": HERE / "proxy.sh"})),
        ),
        Image(
            (f"{repo}/etcd:{tags['etcd']}",),
            (Layer({f"usr/local/bin/{name}": binary("etcd").with_name(name) for name in ("etcd", "etcdctl")}), shell),
            # a machine's power cut leaves the host's page cache whole, and four machines share one slow disk: writes took up to 5 s
            env=("ETCD_UNSAFE_NO_FSYNC=true",),
        ),
        Image((f"{repo}/coredns:{tags['coredns']}",), (Layer({"coredns": binary(release.coredns)}),), ("/coredns",)),
        Image((f"{repo}/pause:{tags['pause']}",), (pod("pause"),), ("/pause",)),
        Image(
            (f"calico/cni:{CALICO}",),
            (
                Layer({"install-cni.sh": "calico-install"}),
                pod("calico-install", "opt/cni/bin/calico"),
                Layer({"opt/cni/bin": made / "cni"}),
            ),
        ),
        Image((f"calico/node:{CALICO}",), (shell, pod("bin/calico-node")), ("/bin/calico-node",)),
        Image((f"calico/kube-controllers:{CALICO}",), (pod("idle"),), ("/idle",)),
        Image(("fanux/lvscare:latest",), (tables, Layer({"usr/bin/lvscare": parts.binary("sealos")}))),  # ours, whoever installs
    ]


def contour(binary: Callable[[str], Path]) -> list[Image]:
    """Contour, and what stands in for its Envoy, which answers where Contour would have it listen.

    Args:
        binary: finds a program that is built; ToolMissing when there is none.
    """
    envoy = "docker.io/envoyproxy/envoy:v1.15.1"
    return [
        Image(("docker.io/projectcontour/contour:v1.9.0",), (Layer({"bin/contour": binary("contour")}),)),
        Image(
            (envoy,),
            (Layer({"usr/local/bin/envoy": binary("images") / "pods"}),),
            env=("PORTS=80,443,8002", f"STANDS_FOR={envoy}"),
        ),
    ]


def separate(version: str, binary: Callable[[str], Path]) -> list[Image]:
    """What the profile `separate` runs beside the images of `istio`: all real but Mixer, in whose place a server answers on its ports.

    Args:
        version: Istio's, which is the oldest: later ones have no such profile.
        binary: finds a program that is built; ToolMissing when there is none.
    """
    programs = {"citadel": "istio_ca", "galley": "galley", "sidecar_injector": "sidecar-injector"}
    local, folder, mixer = "usr/local/bin", Layer({"tmp": None}), f"docker.io/istio/mixer:{version}"
    return [
        *(
            Image(
                (f"docker.io/istio/{name}:{version}",),
                (Layer({f"{local}/{program}": binary(program)}), folder),
                (f"/{local}/{program}",),
                user="1337:1337",
            )
            for name, program in programs.items()
        ),
        Image((mixer,), (_served(binary),), ("/serve",), env=("PORTS=9091,15014,42422", f"STANDS_FOR={mixer}")),
    ]


def _served(binary: Callable[[str], Path]) -> Layer:
    return Layer({"serve": binary("images") / "pods", "opt/kiali/kiali": "/serve"})


# Beside Istio's own images: those of the dashboards and what they keep, with the ports that they answer on.
_SERVED = {
    "docker.io/prom/prometheus": "9090",
    "grafana/grafana": "3000",
    "quay.io/kiali/kiali": "20001,9090",
    "docker.io/jaegertracing/all-in-one": "9411,14250,14267,14268,14269,16686",
}
_DASHBOARDS = {
    "1.5.0": ("v2.15.1", "6.5.2", "v1.14", "1.16"),
    "1.6.5": ("v2.15.1", "6.7.4", "v1.18", "1.16"),
    "1.7.8": ("v2.19.2", "7.0.5", "v1.22", "1.18"),
}


def istio(version: str, binary: Callable[[str], Path]) -> list[Image]:
    """What a mesh of that version runs: operator, istiod, pilot-agent and CNI plugin are real, and from 1.7 on its installer.

    Args:
        version: Istio's.
        binary: finds a program that is built; ToolMissing when there is none.
    """
    minor = int(version.split(".")[1])
    suffix = "" if minor == 5 else f"-{version}"
    plugin = suffix if "istio-cni" in releases.istio(version).binaries else ""
    made = binary("images")
    hub, local, cni = "docker.io/istio", "usr/local/bin", "opt/cni/bin"
    shell = Layer({"bin/busybox": made / "busybox", "bin/sh": "busybox", "tmp": None})
    # one program under all of these names, so one layer; those that the release does not have are called by nobody
    names = ("operator", "pilot-discovery", "pilot-agent", "istio-iptables", "install-cni")
    programs = Layer({f"{local}/istio": binary(f"istio{suffix}"), **{f"{local}/{name}": "istio" for name in names}})
    envoy = Layer(
        {
            f"{local}/envoy": made / "pods",
            "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": binary(f"envoy-bootstrap{suffix}"),
            "etc/istio/proxy": None,
            "etc/certs": None,
        }
    )
    folders = Layer({"var/lib/istio": None, "etc/istio": None})
    # up to 1.9 the plugin calls iptables by a program of its own, and has another that repairs
    beside: dict[str, Path | str | None] = {
        f"{cni}/istio-iptables": binary(f"istio-cni-iptables{plugin}"), f"{cni}/istio-cni-repair": "istio-cni",
    } if minor < 10 else {}  # fmt: skip
    plugins = Layer({f"{cni}/istio-cni": binary(f"istio-cni{plugin}"), **beside})
    installer = programs if minor > 6 else Layer({"istio-install": made / "pods", "install-cni.sh": "istio-install"})
    images = [
        Image((f"{hub}/operator:{version}",), (shell, programs), (f"/{local}/operator",)),
        Image((f"{hub}/pilot:{version}",), (shell, programs, folders), (f"/{local}/pilot-discovery",), user="1337:1337"),
        Image(
            (f"{hub}/proxyv2:{version}",),
            (shell, programs, envoy),
            (f"/{local}/pilot-agent",),
            env=(f"ISTIO_META_ISTIO_VERSION={version}",),
        ),
        Image((f"{hub}/install-cni:{version}",), (shell, plugins, installer), (f"/{local}/install-cni" if minor > 6 else "/install-cni.sh",)),
    ]
    for (name, ports), tag in zip(_SERVED.items(), _DASHBOARDS.get(version, ()), strict=False):
        images.append(Image((f"{name}:{tag}",), (_served(binary),), ("/serve",), env=(f"PORTS={ports}", f"STANDS_FOR={name}:{tag}")))
    return images
