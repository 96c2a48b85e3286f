"""What judges return: a `Problem` with its `Code`, and the one table of all codes, which docs/troubleshooting.md is made from.

Decisions are taken by a problem's code and place; its text is for people alone. Standard library only, and nothing else of this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

Severity = Literal["error", "warning"]
Area = Literal[
    "settings", "objects", "mesh", "dashboards", "membership", "versions", "machines", "cni", "host-keys", "tokens", "certificates"
]
"""What a code is about; what drift compares goes by the same words (docs/review.md)."""


class Code(StrEnum):
    """A kind of problem: what it is called, and, by its attributes, what it means.

    Attributes:
        area: what it is about.
        means: what is wrong, as a sentence without its full stop.
        fix: the next step, for a problem that has none of its own.
        waivable: whether `cluster.preflight.waive` may name it. What no step could go on with can't be waived.
    """

    area: Area
    means: str
    fix: str
    waivable: bool

    def __new__(cls, value: str, area: Area, means: str, fix: str, waivable: bool = False) -> Self:
        """A code with its attributes."""
        code = str.__new__(cls, value)
        code._value_ = value
        code.area, code.means, code.fix, code.waivable = area, means, fix, waivable
        return code

    # what Istio makes of the settings
    OBJECT_REFUSED = ("object-refused", "settings", "Istio makes an object of the settings that Kubernetes would refuse, or that nobody would answer to",
        "Correct the setting that is named; most are typing errors in a path. `make render` shows the objects.")
    OVERLAY_MISSED = ("overlay-missed", "settings", "an overlay asks for what is not in the objects that Istio makes",
        "Look at its kind, name and path: `make render` shows the objects.")
    # reaching a machine
    UNREACHABLE = ("unreachable", "machines", "nobody answers at its address and port",
        ("Is it on, and does a firewall drop the port? Try `ssh -p PORT root@ADDRESS` from where Pulumi runs. Behind a bastion, look from there: "
        "it must allow TCP forwarding (AllowTcpForwarding). A server with too many log-ins at once (MaxStartups) closes the connection as well."))
    MUTE = ("mute", "machines", "it takes the connection and then says nothing for `ssh.connectTimeout`",
        "Look at its SSH server: it is overloaded, or something else listens there.")
    AUTH = ("auth", "machines", "it refuses the password or key",
        "Set password or privateKey to what it takes, and look at PermitRootLogin in its sshd_config.")
    HOST_KEY = ("host-key", "host-keys", "its host key is not the pinned one, or the pinned one is damaged",
        ("Was it installed anew? Then compare the key on its console and update `hostKey` (`python3 -m components.host_keys` prints it). If it was "
        "not, this may be a man-in-the-middle: do not log in."))
    UNKNOWN_HOST = ("unknown-host", "host-keys", "its host key is pinned nowhere",
        "Pin it: `hostKey` on the machine (`python3 -m components.host_keys` prints it), or a file in `ssh.knownHosts`.")
    LOGIN = ("login", "machines", "what to log in with can't be used here",
        ("Paths are relative to the project. A key may be damaged, of a kind that sealos can't use (use ed25519, ECDSA or RSA) or its passphrase "
        "wrong. An agent must run where Pulumi does, and sealos needs a password or key besides."))
    LOST = ("lost", "machines", "the connection broke while the machine was at work",
        "What runs there goes on to its end. Run `pulumi up` again: it waits for that and goes on.")
    TIMEOUT = ("timeout", "machines", "something on it took longer than it may",
        "Look at the machine (its last words are in the message), or raise `cluster.timeouts`.")
    FAILED = ("failed", "machines", "what was to be run on it did not work",
        ("The reason is in the message: a full disk, a shell that ends in /root/.bashrc, no bash, tar or coreutils, or sshd's own limits (MaxSessions, "
        "PermitTTY, AllowTcpForwarding, SFTP) most often."))
    # a machine, before anything is changed
    RSA_KEY = ("rsa-key", "machines", "its SSH server refuses the stack's RSA key as sealos signs with it (SHA-1)",
        ("Use an ed25519 key (`ssh-keygen -t ed25519`), or a password that it lets root in by; or allow it there: `PubkeyAcceptedAlgorithms +ssh-rsa` "
        "in sshd_config."), True)
    SEALOS_LOGIN = ("sealos-login", "machines", "its SSH server lets us in, but not sealos, which dials from the first master and has an older library",
        ("Let the first master in (firewall, AllowUsers, `from=` of the key), and let its sshd_config allow what that library knows: a terminal "
        "(PermitTTY), a password as such (PasswordAuthentication), and of each kind one of Ciphers aes128-ctr to aes256-ctr, MACs hmac-sha2-256, "
        "KexAlgorithms curve25519-sha256@libssh.org or ecdh-sha2-nistp256."), True)
    FORWARDING = ("forwarding", "machines", "the first master's SSH server passes no connections on, which cluster.apiTunnel takes",
        ("Allow it in its sshd_config (`AllowTcpForwarding local`, no PermitOpen without 127.0.0.1:6443), and of the key in authorized_keys "
        "(no-port-forwarding, restrict)."), True)
    SHELL = ("shell", "machines", "root's shell prints something before any command, or is none that takes sealos's commands",
        ("sealos takes that for the command's own. Let /root/.bashrc and what it reads be silent unless the shell is interactive "
        "(`case $- in *i*) ;; *) return ;; esac` at its top)."), True)
    PROXY = ("proxy", "machines", "a proxy in root's environment, by which kubeadm would go to the cluster",
        "Take it out of root's environment (/root/.bashrc, /etc/environment), or add the cluster's addresses to no_proxy there.", True)
    ROOT = ("root", "machines", "who logs in is not root", "Log in as root: sealos v3 writes to /root, /usr/bin and /etc.")
    HOSTNAME = ("hostname", "machines", "its hostname is not its name in the settings",
        "`hostnamectl set-hostname NAME` on it, or use its hostname as name: it becomes the Node's.")
    SAME_HOSTNAME = ("same-hostname", "machines", "two machines have the same hostname", "Give each machine its own: Nodes are told apart by it.")
    MACHINE_ID = ("machine-id", "machines", "/etc/machine-id is missing or empty",
        "`systemd-machine-id-setup` on it; pod networks rely on it.", True)
    SAME_MACHINE_ID = ("same-machine-id", "machines", "two machines have the same machine-id",
        "One machine listed twice, or clones: `rm /etc/machine-id && systemd-machine-id-setup` on all but one.", True)
    ADDRESS = ("address", "machines", "the address in the settings is none of its own",
        "Use an address that the machine itself has: sealos takes it for the Node's InternalIP and the API server's.")
    SAME_ADDRESS = ("same-address", "machines", "two machines have the same address", "Give each machine an address of its own.")
    NODE_ADDRESS = ("node-address", "machines", "kubelet would report another address than the one in the settings",
        "Write `ADDRESS NAME` into its /etc/hosts, by which kubelet reports that address.", True)
    INTERFACE = ("interface", "machines", ("the pod network's pattern of interfaces (cluster.interface) matches none, one with another address, or one that "
        "several machines have"),
        "Set cluster.interface to what matches only the interface that has the machine's own address.", True)
    CLOCK = ("clock", "machines", "its clock is further than cluster.maxClockSkew from the median of all machines",
        "Synchronise the clocks (chrony or systemd-timesyncd): certificates and etcd need them together.", True)
    MOUNTS = ("mounts", "machines", "a folder of the cluster's is mounted read-only, is noexec where programs are run, or is a link to nowhere",
        "Mount it read-write and without noexec (`mount -o remount,exec`, and /etc/fstab); make the folder that a link leads to.", True)
    CGROUPS = ("cgroups", "machines", "cgroups of version 2 alone, which Kubernetes before 1.19 can't use",
        "Boot it with systemd.unified_cgroup_hierarchy=0 on the kernel's command line (systemd before 256), or use Kubernetes 1.19 or later.", True)
    OS = ("os", "machines", "no Linux, or a distribution that sealos's packages don't know",
        "Its docker.sh may not know how to install Docker there; try it on a machine to spare first.", True)
    ARCH = ("arch", "machines", "an architecture without packages, or another one than the first master's or a program's",
        "A package has programs and images of one architecture; use machines of the same.", True)
    CPU = ("cpu", "machines", "fewer CPUs than kubeadm wants of a master",
        "Give it more: `kubeadm init` and a master's join stop at their own check of it (NumCPU).", True)
    MEMORY = ("memory", "machines", "less memory than kubeadm wants", "Give it more; kubeadm refuses a master with less from v1.20 on.", True)
    DISK = ("disk", "machines", "too little room in /root, /var/lib or on a disk of its own below that (images, kubelet, etcd)",
        "Make room or mount a larger disk there.", True)
    SWAP = ("swap", "machines", "swap is on", "The package switches swap off until the next boot; take it out of /etc/fstab for good.", True)
    TOOLS = ("tools", "machines", "programs that our scripts need are missing",
        "Install them (coreutils, util-linux, sed, gawk or mawk, findutils, diffutils, hostname, gzip, iproute2, iptables).")
    PORT = ("port", "machines", "a port that Kubernetes needs is taken", "Stop what listens there; `ss -ltnp` on the machine shows it.", True)
    GATEWAY_PORT = ("gateway-port", "machines", "a host port of the ingress gateway is taken on its node",
        "Stop what listens there, or pin the gateway to another node (k8s.nodeSelector).", True)
    LEFTOVERS = ("leftovers", "machines", "parts of an earlier or half-made cluster (cluster.recover wipes them)",
        "Clean the machine (`kubeadm reset -f`, then remove these), or set cluster.recover: true to have it wiped.")
    OTHER_CLUSTER = ("other-cluster", "machines", "it belongs to another cluster, alive or with its data",
        ("It is never wiped or installed over, whatever cluster.recover says. Use another machine; or, when nobody needs what is there, "
        "`kubeadm reset -f` on it by hand, then remove what that leaves."))
    RUNTIME = ("runtime", "machines", "Docker or containerd where sealos wants none", "Remove it, or prefer a machine without it.", True)
    NAMESERVER = ("nameserver", "machines", ("/etc/resolv.conf has no nameserver (without which CoreDNS does not start on containerd), or none but the "
        "machine itself"),
        "Name the resolver there, `nameserver ADDRESS`; where there is none, an address where nobody answers (not 127.0.0.1) serves CoreDNS as well.",
        True)
    PACKAGE = ("package", "machines", "the offline package is missing or empty",
        "Copy it to the first master, or set cluster.package.file or .url to have it sent.")
    PACKAGE_SHA256 = ("package-sha256", "machines", "the offline package is another file than the settings say",
        "It is another file or was cut off on its way; copy it again.")
    PACKAGE_VERSION = ("package-version", "machines", "the offline package holds another Kubernetes than cluster.kubernetesVersion",
        "Use the package of that version, or set cluster.kubernetesVersion to the package's.", True)
    SEALOS = ("sealos", "machines", "the sealos binary is missing, empty or can't be run",
        "Copy it to the first master, where programs are run (not noexec) and with mode 0755, or set cluster.sealos.file or .url to have it sent.")
    SEALOS_SHA256 = ("sealos-sha256", "machines", "the sealos binary is another file than the settings say",
        "It is another file or was cut off on its way; copy it again.")
    SEALOS_VERSION = ("sealos-version", "machines", "a sealos that this program can't drive",
        "This program drives sealos v3.3.9 (and its pre-releases); why no other stands in docs/operations.md.")
    SEALOS_UNVERSIONED = ("sealos-unversioned", "machines", "a sealos that does not say its version (built without it)",
        "This program drives sealos v3.3.9 (and its pre-releases).", True)
    ISTIOCTL = ("istioctl", "machines", "istio.istioctl is missing, empty or another file than the settings say",
        "Copy istioctl to the first master, or take istio.istioctl out of the settings.")
    UNCHECKED = ("unchecked", "machines", "package or sealos without sha256 in the settings",
        "Set it to what `sha256sum` prints where the file comes from.", True)
    POD_CIDR = ("pod-cidr", "machines", "cluster.podCidr holds an address, resolver, network or route of the machine",
        "Choose another cluster.podCidr: what is there could no longer be reached from pods, or from this machine.", True)
    SERVICE_CIDR = ("service-cidr", "machines", "cluster.serviceCidr holds an address, resolver, network or route of the machine",
        "Choose another cluster.serviceCidr: what is there could no longer be reached from pods, or from this machine.", True)
    VIP = ("vip", "machines", "cluster.vip is somebody's address or a resolver",
        "Choose an address that nobody has; nodes reach the masters by it.", True)
    KUBERNETES_VERSION = ("kubernetes-version", "machines", "Kubernetes before v1.14", "Use v1.14 or later; Istio's operator needs it.")
    # the cluster's Nodes, and what else makes it the one that was asked for
    API_SILENT = ("api-silent", "membership", "the cluster's API server gives no answer on the first master",
        "Look at it there: does it run, is the disk full?")
    NODE_MISSING = ("node-missing", "membership", "a machine of the settings is not a node of the cluster",
        "Run `pulumi up`, which joins it. What bars it from that stands in the message of its own step.")
    NODE_ELSEWHERE = ("node-elsewhere", "membership", "a node is in the cluster with another address than the settings have",
        "Correct the address, or take the node out and let the machine join again; kubelet takes what `/etc/hosts` says of its name.")
    NODE_ROLE = ("node-role", "membership", "a node is a master where the settings have a node, or the other way",
        "List it as what it is; to change it, take it out first and add it again.")
    NODE_NOT_READY = ("node-not-ready", "membership", "a node is not Ready",
        ("It is the pod network most often: `kubectl -n kube-system get pods` on the first master, `kubectl describe node NAME`. Put that right and run "
        "`pulumi up` again. A machine that is gone for good: take it out of the list of machines and name it in cluster.lost."))
    NODE_VERSION = ("node-version", "versions", "a kubelet runs another Kubernetes than `cluster.kubernetesVersion`",
        "Set the version that the cluster has; another one needs another cluster (docs/operations.md).")
    API_VERSION = ("api-version", "versions", "the API server runs another Kubernetes than `cluster.kubernetesVersion`",
        "Set the version that the cluster has; another one needs another cluster (docs/operations.md).")
    NODE_UNLISTED = ("node-unlisted", "membership", "a node of the cluster stands in no settings", "Add it to nodes, or remove it.")
    CORDONED = ("cordoned", "membership", "a node takes no pods (cordoned)", "`kubectl uncordon NAME`.")
    WANTED_LIST = ("wanted-list", "membership", "the first master's list of wanted machines (/etc/sealos-istio/wanted.json) is not that of the settings",
        "Run `pulumi up`.")
    IDENTITY = ("identity", "membership", "the cluster that is there has another identity than the settings (name, ranges, VIP, version, masters …)",
        "Write the settings as the cluster is; another value needs another cluster (`pulumi destroy`, then `pulumi up`).")
    SEALOS_STATE = ("sealos-state", "membership", ("/root/.sealos/config.yaml is missing or no YAML: without it, and the keys beside it, sealos can neither join "
        "nor clean"),
        "Run the program where sealos ran, as first master, or put the folder back from there.")
    DRAIN_BUDGET = ("drain-budget", "membership", "a PodDisruptionBudget lets a pod not be moved off a machine that leaves",
        "Give the pods another place, or the budget another number.")
    DRAIN_POD = ("drain-pod", "membership", "a pod on a machine that leaves has not ended in time", "Look at that pod, or raise `cluster.timeouts.drain`.")
    # the mesh
    OPERATOR_ERROR = ("operator-error", "mesh", "Istio's operator reports an error, or can't carry out the IstioOperator, again and again",
        "Most reasons name the key of the IstioOperator; more is in the operator's log.")
    MESH_STATUS = ("mesh-status", "mesh", "the operator has not reported HEALTHY yet, or is at work again",
        "It takes some minutes; what it waits for is named beside it.")
    OPERATOR_MISSING = ("operator-missing", "mesh", "Istio's operator is not there", "`pulumi up --refresh` makes it again.")
    OBJECT_MISSING = ("object-missing", "mesh", "an object of the mesh is not there", "The operator makes it; its log says why it has not. `pulumi up --refresh`.")
    OBJECT_DIFFERS = ("object-differs", "mesh", "an object of the mesh differs from what was asked for",
        "Something else wrote it, or an overlay did not reach it: compare it with `make render`. `pulumi up --refresh`.")
    WORKLOAD_UNREADY = ("workload-unready", "mesh", "a workload of the mesh is not available in its current form",
        "Look at its pods (`kubectl describe pods`): a taken host port or a node selector that fits no node are the usual causes.")
    EARLIER_SETTING = ("earlier-setting", "mesh", "what earlier settings asked for is still in a Deployment",
        "`pulumi up` takes it away; by hand `kubectl -n istio-system edit deployment NAME`.")
    WEBHOOK_CA = ("webhook-ca", "mesh", "a webhook of Istio's has no CA bundle yet, so the API server can't call it",
        "The Deployment that is named fills it in: look at its log.")
    MESH_UNKNOWN = ("mesh-unknown", "mesh", "the mesh could not be looked at",
        "kubectl on the first master gave no answer: look at the API server there.")
    # the end of every node's CNI chain
    CNI_UNKNOWN = ("cni-unknown", "cni", "the node's CNI chain could not be looked at", "The reason is the machine's own; look at it there.")
    CNI_FILE = ("cni-file", "cni", "the chain's file is missing, or no list of plugins",
        "Is the pod network running on this node? A half-written file looks like this as well.")
    CNI_ORDER = ("cni-order", "cni", "another file in /etc/cni/net.d sorts before the chain that Istio joined, so kubelet uses that one",
        "Remove the file of the network that you no longer use.")
    CNI_CHAIN = ("cni-chain", "cni", "the chain does not end with istio-cni, once, behind a pod network's plugin",
        "Look at the node's istio-cni-node pod (container install-cni) and at what else writes the chain; restart the pod, then `pulumi up`.")
    CNI_SETTINGS = ("cni-settings", "cni", "istio-cni stands in the chain with other settings than those asked for",
        "Restart the node's istio-cni-node pod, then `pulumi up`.")
    CNI_PLUGIN = ("cni-plugin", "cni", "the plugin's program or kubeconfig is missing on the node, or has the wrong mode",
        "Restart the node's istio-cni-node pod, then `pulumi up`.")
    CNI_RIGHTS = ("cni-rights", "cni", "the plugin may not get pods, so that pods would start without Istio's rules (istio#17583)",
        ("Its ClusterRole or ClusterRoleBinding (both istio-cni) was deleted or changed, or its account made anew. Istio 1.5's operator makes them again "
        "when its pod starts anew: `kubectl -n istio-operator delete pods -l name=istio-operator`, then `pulumi up`."))
    # ways to the dashboards
    DASHBOARDS_UNKNOWN = ("dashboards-unknown", "dashboards", "the ways to the dashboards could not be looked at",
        "kubectl on the first master gave no answer: look at the API server there.")
    TLS_SECRET = ("tls-secret", "dashboards", "the TLS Secret of the dashboards is missing, of another type, or lacks a key",
        "Create it (`kubectl create secret tls`), or give dashboards.tls.certificate.")
    BACKEND = ("backend", "dashboards", "a dashboard's Service is missing, lacks the port, or has no ready pod behind it",
        "Is the addon on (`istio.addonComponents`), and does its pod run?")
    ROUTE = ("route", "dashboards", "an Ingress, HTTPProxy, Gateway or VirtualService that leads to a dashboard is missing", "`pulumi up --refresh`.")
    PROXY_INVALID = ("proxy-invalid", "dashboards", "Contour does not take an HTTPProxy, or has not judged it yet",
        "Contour's own reason says what it lacks. Not judged: is one running, and does it watch this ingress class (docs/dashboards.md)?")
    # what drift finds besides
    NOT_APPLIED = ("not-applied", "settings", "the settings ask for what the state doesn't have", "Review it (`make preview`) and run `pulumi up`.")
    OBJECT_GONE = ("object-gone", "objects", "an object of the stack is gone from the cluster", "Run `pulumi up --refresh`, which makes it anew.")
    OBJECT_CHANGED = ("object-changed", "objects", "an object of the stack was changed by hand", "Run `pulumi up --refresh`, which sets it back.")
    OBJECTS_UNKNOWN = ("objects-unknown", "objects", "the stack's objects can't be compared with the cluster", "Look at the API server, and at the state.")
    TOKEN_ENDS = ("token-ends", "tokens", "a service account's token on a machine has ended or ends soon", "Restart the pod that writes it.")
    JOIN_TOKEN = ("join-token", "tokens", "a join token never ends, or outlives a join",
        "`kubectl -n kube-system delete secret bootstrap-token-ID`: this program makes one for each join.")
    CERTIFICATE = ("certificate", "certificates", "a certificate of Kubernetes has ended, ends soon, or can't be read",
        "Renew it (docs/operations.md, Renew certificates).")
    KUBECONFIG = ("kubeconfig", "certificates", "the kubeconfig in the stack's state ends soon, or is not the first master's any more",
        "Renew it on the first master (docs/operations.md, Renew certificates); then `pulumi up` reads it anew.")


CODES: Mapping[str, Code] = {code.value: code for code in Code}
"""Every code by what it is called."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it must be.

    Attributes:
        code: its kind, which decisions are taken by.
        where: the machine, the stack's key or the object, as `Deployment istio-system/istiod`.
        text: what was expected and what was observed, without the place.
        fix: the next step, where it is more exact than the code's own.
        severity: an error stops an update, a warning is printed.
        waived: why it is to be lived with, in the settings' own words; it then stops nothing.
    """

    code: Code
    where: str
    text: str
    fix: str = ""
    severity: Severity = "error"
    waived: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"

    @property
    def step(self) -> str:
        """The next step."""
        return self.fix or self.code.fix


LONGEST = 800
"""Characters of one problem's text in a message: a whole object may be what differs."""


def told(problems: Iterable[Problem], machines: int = 0) -> list[str]:
    """Problems for a person, in lines: code, places and text of each, once for all places that it is the same at, and the next step below.

    Args:
        problems: what is wrong; the step that several in a row have in common is said after the last of them.
        machines: how many there are in all, where the places are machines: what all have is said of "all 4 machines".
    """
    places: dict[tuple[str, str, str], list[str]] = {}
    for one in problems:
        kind = "waived " if one.waived else "warning " if one.severity == "warning" else ""
        step = f"waived in the settings: {one.waived}" if one.waived else one.step
        places.setdefault((f"{kind}[{one.code}]", one.text, step), []).append(one.where)
    lines: list[str] = []
    before = ""
    for (kind, text, step), where in places.items():
        if before not in ("", step):
            lines.append(f"    {before}")
        place = f"all {machines} machines" if len(where) == machines > 1 else ", ".join(dict.fromkeys(where))
        lines.append(f"  - {kind} {place}: {text if len(text) <= LONGEST else f'{text[:LONGEST]} …'}")
        before = step
    return [*lines, f"    {before}"] if before else lines


def first_of(problems: Iterable[Problem]) -> str:
    """The first of some problems on one line, for whoever watches, and how many there are besides."""
    first, *others = problems
    return f"{first} (and {len(others)} more)" if others else str(first)
