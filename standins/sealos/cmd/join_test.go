package cmd

import (
	"slices"
	"strings"
	"testing"

	"sealos-istio/standins/sealos/internal/sshtest"
)

// What join says before it does anything.
func TestJoinRefusals(t *testing.T) {
	l := newLab(t, 2)
	r := l.sealos("join", "--node", l.host(1).Address)
	l.want(r, 0, "lvscarename", "no such file") // a sample, and nothing else
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:])
	before := l.read(".sealos/config.yaml")
	l.want(l.sealos("join"), 0, "Usage:")
	l.want(l.sealos("join", "--node", l.host(1).Address), 255, "has already exist in your cluster")
	l.want(l.sealos("join", "--master", l.host(1).Address), 255, "has already exist in your cluster")
	l.want(l.sealos("join", "--node", "sealos02"), 1, "sealos02")
	if l.read(".sealos/config.yaml") != before || len(l.net.Operations()) != 0 {
		t.Errorf("something was done: %v", l.net.Texts(nil))
	}
}

// The order of a join of a node, also with the port left out where it is 22.
func TestJoinNode(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:2])
	l.want(l.sealos("join", "--node", l.host(2).Address), 0)
	inOrder(t, l.net.Texts(nil), "^hostname$", "put /usr/bin/sealos", "put /root/kube1.16.3.tar.gz", "bash init.sh", "^kubeadm token create --print-join-command -v 0$",
		"kubeadm-join-config.yaml$", "^sealos route", "^sealos ipvs", "^kubeadm join", "^put /etc/kubernetes/manifests/kube-sealyun-lvscare.yaml$", "^rm -rf /root/kube$")
	if texts := l.net.Texts(l.host(0)); len(texts) != 1 {
		t.Errorf("the first master was asked %v, want the token only", texts)
	}
	if texts := l.net.Texts(l.host(1)); len(texts) != 0 {
		t.Errorf("the other node was asked %v", texts)
	}
	if c := l.load(); !slices.Equal(c.Nodes, l.net.Addresses()[1:]) {
		t.Errorf("nodes are %v", c.Nodes)
	}
	l.installed(l.net.Hosts[:1], nil)
	l.want(l.sealos("join", "--node", "127.0.0.77-127.0.0.78:1"), 1) // nobody there; and it ended before any question
	if strings.Contains(l.read(".sealos/config.yaml"), "127.0.0.77") {
		t.Error("an unreachable host became a member")
	}
}

// A join of masters and nodes: masters first, the lvscare manifest of the nodes is written again.
func TestJoinMasterAndNode(t *testing.T) {
	l := newLab(t, 4)
	l.installed(l.net.Hosts[:1], l.net.Hosts[1:2])
	l.want(l.sealos("join", "--node", l.host(2).Address, "--master", l.host(3).Address), 0)
	inOrder(t, l.net.Texts(nil), "^kubeadm init phase upload-certs --upload-certs -v 0$", "^kubeadm token create", "^put /etc/kubernetes/pki/ca.crt$",
		"^sealos cert .*--alt-names apiserver.cluster.local", "^kubeadm join", "^kubeadm token create", "--rs 127.0.0.2:6443 --rs 127.0.0.5:6443", "^kubeadm join")
	inOrder(t, l.net.Texts(l.host(1)), `^rm -rf /etc/kubernetes/manifests/kube-sealyun-lvscare\*$`, "^put /etc/kubernetes/manifests/kube-sealyun-lvscare.yaml$")
	if manifest := string(l.host(1).File("/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml")); !strings.Contains(manifest, "127.0.0.5:6443") {
		t.Errorf("lvscare on the old node does not know the new master:\n%s", manifest)
	}
	if count(l.net.Texts(l.host(3)), "^put .*/kubelet.conf$") != 0 {
		t.Error("kubelet.conf went to the new master")
	}
	c := l.load()
	if !slices.Equal(c.Masters, []string{l.host(0).Address, l.host(3).Address}) || !slices.Equal(c.Nodes, []string{l.host(1).Address, l.host(2).Address}) {
		t.Errorf("members are %v and %v", c.Masters, c.Nodes)
	}
}

// No token: a panic (2), the config as before, the new host changed already. A failed join makes a member all
// the same; a second one is refused, and the way back is clean.
func TestJoinFailures(t *testing.T) {
	l := newLab(t, 2)
	l.installed(l.net.Hosts[:1], nil)
	before := l.read(".sealos/config.yaml")
	node := l.host(1)
	l.net.On(nil, "^kubeadm token create", sshtest.Reply{Output: "timed out waiting for the condition\n", Status: 1})
	r := l.sealos("join", "--node", node.Address)
	l.want(r, 2)
	if !strings.Contains(r.err, "panic") {
		t.Errorf("no panic on standard error: %s", r.err)
	}
	if l.read(".sealos/config.yaml") != before {
		t.Error("config.yaml changed")
	}
	if node.File("/usr/bin/sealos") == nil || count(l.net.Texts(node), "bash init.sh") != 1 {
		t.Error("sealos and package were not applied first")
	}
	l.net.Forget()
	l.net.On(node, "^kubeadm join", sshtest.Reply{Output: "error\n", Status: 1})
	l.want(l.sealos("join", "--node", node.Address), 0)
	if c := l.load(); !slices.Equal(c.Nodes, []string{node.Address}) {
		t.Errorf("nodes are %v", c.Nodes)
	}
	l.want(l.sealos("join", "--node", node.Address), 255)
	l.want(l.sealos("clean", "--node", node.Address, "-f"), 0)
	l.net.Forget()
	l.want(l.sealos("join", "--node", node.Address), 0)
	l.net.On(nil, "upload-certs", sshtest.Reply{Output: "no key\n"})
	l.want(l.sealos("join", "--master", "127.0.0.2:"+strings.Split(node.Address, ":")[1]), 255)
	l.installed(l.net.Hosts[:1], nil)
	l.want(l.sealos("join", "--master", node.Address), 2)
}
