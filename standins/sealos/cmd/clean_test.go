package cmd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sealos-istio/standins/sealos/internal/sshtest"
)

// What ends a clean with 255 before anything is done.
func TestCleanRefusals(t *testing.T) {
	l := newLab(t, 2)
	l.want(l.sealos("clean", "--all", "-f"), 255, "config.yaml")
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:])
	before := l.read(".sealos/config.yaml")
	l.want(l.sealos("clean", "-f"), 255)
	l.want(l.sealos("clean", "--node", l.host(0).Address, "-f"), 255, "is a master")
	l.want(l.sealos("clean", "--master", l.host(1).Address, "-f"), 255, "is a node")
	l.want(l.sealos("clean", "--all"), 255, "continue clean (y/n)?") // standard input is closed
	l.want(l.sealosWith("n\n", "clean", "--all"), 255, "continue clean (y/n)?")
	l.want(l.sealosWith("n\n", "clean", "--node", l.host(1).Address), 255, l.host(1).Address)
	if l.read(".sealos/config.yaml") != before || len(l.net.Operations()) != 0 {
		t.Errorf("something was done: %v", l.net.Texts(nil))
	}
}

var cleanOrder = []string{
	"^kubeadm reset -f -v 0$", "^sed -i '/kubectl/d;/sealos/d' /root/.bashrc$", "^modprobe -r ipip .*lsmod$", "^rm -rf ~/.kube/ && rm -rf /etc/kubernetes/$",
	"^rm -rf /etc/systemd/system/kubelet.service.d", `^rm -rf /usr/bin/kube\*`, "^rm -rf /etc/cni && rm -rf /opt/cni$", "^rm -rf /var/lib/etcd && rm -rf /var/etcd$",
	`^sed -i "/apiserver.cluster.local/d" /etc/hosts$`, "^rm -rf ~/kube$", "^rm -rf /etc/kubernetes/pki$", "rm -rf /usr/bin/sealos$",
}

// A clean of a node: the route, the reset, then the Node object by way of the first master. No drain.
func TestCleanNode(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:])
	node := l.host(1)
	l.net.On(node, "^sealos route --host", sshtest.Reply{Output: "failed\n"})
	l.want(l.sealosWith("y\n", "clean", "--node", node.Address), 0)
	inOrder(t, l.net.Texts(nil), slices.Concat([]string{"^sealos route --host 127.0.0.3$", "^sealos route del --host 10.103.97.2 --gateway 127.0.0.3$"}, cleanOrder,
		[]string{"^kubectl get nodes", "^hostname$", "^kubectl delete node sealos02$"})...)
	if count(l.net.Texts(nil), "drain") != 0 || len(l.net.Texts(l.host(2))) != 0 {
		t.Error("something else was done")
	}
	if c := l.load(); !slices.Equal(c.Nodes, []string{l.host(2).Address}) || !slices.Equal(c.Masters, []string{l.host(0).Address}) {
		t.Errorf("members are %v and %v", c.Masters, c.Nodes)
	}
}

// Membership is not checked.
func TestCleanOfAStranger(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:2])
	l.want(l.sealos("clean", "--node", l.host(2).Address, "-f"), 0)
	inOrder(t, l.net.Texts(l.host(2)), cleanOrder...)
	if c := l.load(); len(c.Masters) != 1 || len(c.Nodes) != 1 {
		t.Errorf("members are %v and %v", c.Masters, c.Nodes)
	}
}

// An unreachable node leaves the config, its Node object stays.
func TestCleanOfADownNode(t *testing.T) {
	l := newLab(t, 2)
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:])
	l.host(1).Stop()
	l.want(l.sealos("clean", "--node", l.host(1).Address, "-f"), 0)
	if texts := l.net.Texts(l.host(0)); !slices.Contains(texts, "kubectl delete node ") {
		t.Errorf("the first master was asked %q", texts)
	}
	if c := l.load(); len(c.Nodes) != 0 {
		t.Errorf("nodes are %v", c.Nodes)
	}
}

// A clean of a master writes lvscare's manifest again on all nodes.
func TestCleanMaster(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:2], l.net.Hosts[2:])
	l.want(l.sealos("clean", "--master", l.host(1).Address, "-f"), 0)
	inOrder(t, l.net.Texts(nil), slices.Concat(cleanOrder, []string{"^kubectl get nodes", "^kubectl delete node sealos02$", "kube-sealyun-lvscare.*$"})...)
	manifest := string(l.host(2).File("/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml"))
	if strings.Contains(manifest, "127.0.0.3") || !strings.Contains(manifest, "127.0.0.2:6443") {
		t.Errorf("lvscare on the node is\n%s", manifest)
	}
	if count(l.net.Texts(l.host(1)), "sealos route") != 0 {
		t.Error("a master has no route to clean")
	}
}

// --all, with every reset failing: 0, ~/.sealos gone but for a config.yaml without members and with the password;
// a second one ends with 255; an init afterwards has a new CA.
func TestCleanAll(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:2], l.net.Hosts[2:])
	oldCA := l.read(".sealos/pki/ca.crt")
	l.net.On(nil, "^kubeadm reset", sshtest.Reply{Output: "failed to reset\n", Status: 1})
	l.want(l.sealos("clean", "--all", "--force"), 0)
	for _, h := range l.net.Hosts {
		inOrder(t, l.net.Texts(h), cleanOrder...)
	}
	inOrder(t, l.net.Texts(nil), "^sealos route --host 127.0.0.4$", "^kubeadm reset")
	if last := l.net.Operations(); last[len(last)-1].Host != l.host(1).Address {
		t.Error("the masters were not cleaned last, one after another")
	}
	if count(l.net.Texts(nil), "kubectl (get|delete)") != 0 {
		t.Error("Node objects were deleted")
	}
	left, err := os.ReadDir(l.path(".sealos"))
	if err != nil || len(left) != 1 || left[0].Name() != "config.yaml" {
		t.Errorf("~/.sealos holds %v, %v", left, err)
	}
	if c := l.load(); len(c.Masters)+len(c.Nodes) != 0 || c.Passwd != sshtest.Password {
		t.Errorf("config.yaml afterwards: %+v", c)
	}
	l.want(l.sealos("clean", "--all", "--force"), 255)
	l.want(l.sealosWith("y\n", "clean", "--all"), 255)
	l.net.Forget()
	l.want(l.init(l.net.Hosts[:1], nil), 0, "sealos install success.")
	if l.read(".sealos/pki/ca.crt") == oldCA {
		t.Error("the CA is the old one")
	}
	l.want(l.sealosWith("y\n", "clean", "--all"), 0)
}
