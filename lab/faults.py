"""Faults to put on the lab's machines, and to take away again: `python -m lab fault`. Where one is only acted, its text says so.

Each is a piece of bash that runs on the machine itself, not by SSH, so that it can be taken away where SSH is what is broken. What a
fault must remember lies in /run/lab-faults there. `Lab.reset` takes everything away with the machine's disk; a power cut what lives in
memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.machines import Lab, LabError
from lab.package import CONTAINERD, DOCKER

KEPT = "/run/lab-faults"


@dataclass(frozen=True)
class Fault:
    """One way in which a machine is not as expected.

    Attributes:
        name: on the command line.
        text: what it does, in a line.
        put, undo: pieces of bash; `$1` is the value.
        value: what `$1` is when nothing is given; empty where the fault takes none.
        first_master: whether it is put on the first master alone, since it is the cluster's or sealos's.
    """

    name: str
    text: str
    put: str
    undo: str
    value: str = ""
    first_master: bool = False


_KUBECTL = "export KUBECONFIG=/etc/kubernetes/admin.conf\n"
_OPERATOR = "istio-operator -n istio-operator"
# as v1beta1, which may leave open whether a webhook has side effects, as Istio's does
_WEBHOOK = """webhook=mutatingwebhookconfigurations.v1beta1.admissionregistration.k8s.io/istio-sidecar-injector
kubectl get "$webhook" -o json | sed '/"resourceVersion"/d' >istio-webhook.json
kubectl patch "$webhook" --type json -p '[
  {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
  {"op": "replace", "path": "/webhooks/0/clientConfig/service/name", "value": "nobody"},
  {"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": {}}]'"""
_UNITS = f"""units='{" ".join(CONTAINERD.units)}'
if command -v docker >/dev/null; then units='{" ".join(DOCKER.units)}'; fi
"""
_LOSE_IMAGE = """if command -v docker >/dev/null; then
  docker save -o image.tar "$1" && docker ps -aq --filter "ancestor=$1" | xargs -r docker rm -f >/dev/null; docker rmi -f "$1"
else
  ctr -n k8s.io images export image.tar $(crictl inspecti -o go-template --template '{{range .status.repoTags}}{{.}} {{end}}' "$1")
  crictl ps -aq --image "$1" | xargs -r crictl rm -f >/dev/null; crictl rmi "$1"
fi"""
_UNPLUG = """import json, sys
path = "/etc/cni/net.d/10-calico.conflist"
chain = json.load(open(path))
chain["plugins"] = [plugin for plugin in chain["plugins"] if plugin["type"] != "istio-cni"]
json.dump(chain, open(path, "w"), indent=2)"""

FAULTS = (
    Fault("mute", "SSH takes connections and stays mute (SIGSTOP)", "kill -STOP $(pgrep -o -x sshd)", "kill -CONT $(pgrep -o -x sshd)"),
    Fault(
        "refusing",
        "SSH refuses connections",
        "nft -f - <<<'table inet lab-fault-ssh { chain input { type filter hook input priority -200; tcp dport 22 reject with tcp reset; }; }'",
        "nft delete table inet lab-fault-ssh",
    ),
    Fault(
        "slow",
        "what the machine sends is slow (kbit/s)",
        "tc qdisc replace dev eth0 root tbf rate $1kbit burst 16kb latency 2s",
        "tc qdisc del dev eth0 root",
        "512",
    ),
    Fault(
        "host-key",
        "another SSH host key",
        "cp -p /etc/ssh/ssh_host_ed25519_key* . && rm /etc/ssh/ssh_host_ed25519_key*\n"
        "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key",
        "cp -p ssh_host_ed25519_key* /etc/ssh/",
    ),
    Fault(
        "clock",
        "a clock that is off (seconds, negative for behind); acted: a `date` before the real one, since the kernel's clock is the host's",
        """cat >/usr/local/bin/date <<EOF
#!/bin/sh
now=\\$(/usr/bin/date +%s.%N | awk '{ printf "%.6f", \\$1 + $1 }')
exec /usr/bin/date -d "@\\$now" "\\$@"
EOF
chmod 0755 /usr/local/bin/date""",
        "rm /usr/local/bin/date",
        "-90",
    ),
    Fault("twin-hostname", "another machine's host name", 'hostname >hostname && hostname "$1"', "hostname $(<hostname)", "sealos01"),
    Fault(
        "full-disk",
        "no room where sealos keeps its state (MiB that /root/.sealos has)",
        "mkdir -p -m 700 /root/.sealos && cp -a /root/.sealos sealos && mount -t tmpfs -o size=$1m,mode=700 tmpfs /root/.sealos\n"
        "cp -a sealos/. /root/.sealos/ && rm -r sealos\nhead -c 1G /dev/zero >/root/.sealos/filler || true",
        "rm /root/.sealos/filler && cp -a /root/.sealos sealos && umount /root/.sealos\ncp -a sealos/. /root/.sealos/ && rm -r sealos",
        "4",
    ),
    Fault("read-only", "/etc can't be written", "mount --bind /etc /etc && mount -o remount,bind,ro /etc", "umount /etc"),
    Fault(
        "half-package",
        "the offline package is half there",
        'for file in /root/kube*.tar.gz; do cp -p "$file" . && truncate -s $(($(stat -c %s "$file") / 2)) "$file"; done',
        "cp -p kube*.tar.gz /root/",
    ),
    Fault("sealos-killed", "sealos, and what it started, is killed while it runs", "pkill -9 -x sealos", "true", first_master=True),
    Fault(
        "kubeadm",
        "kubeadm fails whatever it is asked",
        "printf '#!/bin/sh\\necho \"error: planted by the lab\" >&2\\nexit 1\\n' >/usr/local/bin/kubeadm && chmod 0755 /usr/local/bin/kubeadm",
        "rm /usr/local/bin/kubeadm",
    ),
    Fault(
        "component",
        "a static pod is away (kube-apiserver, etcd, kube-controller-manager, kube-scheduler)",
        'mv "/etc/kubernetes/manifests/$1.yaml" .',
        'mv "$1.yaml" /etc/kubernetes/manifests/',
        "kube-apiserver",
    ),
    Fault("kubelet", "kubelet is stopped", "systemctl stop kubelet", "systemctl start kubelet"),
    Fault(
        "runtime",
        "the container runtime is stopped",
        f"{_UNITS}systemctl stop $units",
        f"{_UNITS}systemctl start $units",
    ),
    Fault(
        "image",
        "an image is missing, and its containers with it",
        _LOSE_IMAGE,
        "if command -v docker >/dev/null; then docker load -q -i image.tar; else ctr -n k8s.io images import image.tar; fi",
        "istio/pilot:1.5.0",
    ),
    Fault("cni-chain", "istio-cni is taken out of the CNI chain", f"python3 -c '{_UNPLUG}'", "true"),
    Fault(
        "operator-rights",
        "Istio's operator has no rights",
        f"{_KUBECTL}kubectl get clusterrolebinding istio-operator -o json >binding.json && kubectl delete clusterrolebinding istio-operator",
        f"{_KUBECTL}kubectl apply -f binding.json",
        first_master=True,
    ),
    Fault(
        "webhook",
        "no pod can be made: a webhook that must answer has nobody behind it",
        f"{_KUBECTL}{_WEBHOOK}",
        f"{_KUBECTL}kubectl replace -f istio-webhook.json",
        first_master=True,
    ),
    Fault(
        "finalizer",
        "the IstioOperator can't go: a finalizer that nobody takes away",
        f"{_KUBECTL}kubectl -n istio-system get istiooperators -o name | xargs -rI% kubectl -n istio-system patch % --type json "
        """-p '[{"op": "add", "path": "/metadata/finalizers/-", "value": "lab.example/planted"}]'""",
        f"{_KUBECTL}kubectl -n istio-system get istiooperators -o name | xargs -rI% kubectl -n istio-system patch % --type json "
        """-p '[{"op": "test", "path": "/metadata/finalizers/1", "value": "lab.example/planted"}, {"op": "remove", "path": "/metadata/finalizers/1"}]'""",
        first_master=True,
    ),
)
"""Beside them: a machine is powered off by `Lab.stop_machine`."""


def find(name: str) -> Fault:
    """The fault of that name.

    Raises:
        LabError: there is none; the message lists those that there are.
    """
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise LabError(f"there is no fault {name!r}. The faults are: {', '.join(fault.name for fault in FAULTS)}")


def put(lab: Lab, name: str, fault: str, value: str = "", *, undo: bool = False) -> None:
    """Puts a fault on a machine, or takes it away.

    Args:
        lab: the lab; it is up.
        name: the machine.
        fault: its name in FAULTS.
        value: in place of the fault's own.
        undo: whether it is taken away.

    Raises:
        LabError: no such fault, or it could not be put there; the message ends with what the machine said.
    """
    chosen = find(fault)
    if chosen.first_master and name != lab.names[0]:
        raise LabError(f"the fault {fault} is put on {lab.names[0]} alone")
    script = f"set -e\nmkdir -p {KEPT}\ncd {KEPT}\n{chosen.undo if undo else chosen.put}\n"
    done = lab.inside(name, "bash", "-c", script, "bash", value or chosen.value)
    if done.returncode:
        raise LabError(f"the fault {fault} failed on {name}: {done.stderr.strip() or done.stdout.strip() or f'status {done.returncode}'}")


def move_clock(lab: Lab, name: str, seconds: float) -> None:
    """Lets a machine's clock be wrong by so many seconds, negative for behind; 0 sets it right."""
    put(lab, name, "clock", str(seconds), undo=not seconds)


def listen(lab: Lab, name: str, port: int) -> None:
    """Takes a TCP port of a machine by a program that says nothing, until its next power-off."""
    program = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(10 ** 6)"
    line = f'setsid python3 -c "{program}" </dev/null >/dev/null 2>&1 & sleep 0.5; ss -Hltn sport = :{port} | grep -q .'
    lab.run(name, "bash", "-c", line).check_returncode()


def deaf(lab: Lab, name: str) -> None:
    """Freezes a machine's SSH server: the kernel still takes connections, and nobody ever says a word."""
    put(lab, name, "mute")
