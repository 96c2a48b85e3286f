package cmd

import (
	"os"
	"strings"
	"testing"

	"sealos-istio/standins/sealos/internal/config"
)

// The small commands and their exit statuses.
func TestSmallCommands(t *testing.T) {
	l := newLab(t, 0)
	for _, c := range []struct {
		status    int
		phrase    string
		arguments []string
	}{
		{0, "Version: 3.3.9-standin", []string{"version"}},
		{0, "lvscarename: fanux/lvscare", []string{"init", "gen"}},
		{0, "kind: ClusterConfiguration", []string{"config", "-t", "kubeadm"}},
		{0, "kind: JoinConfiguration", []string{"config", "-t", "join"}},
		{1, "no template", []string{"config", "-t", "other"}},
		{0, "name: calico-node", []string{"cni"}},
		{0, "bash completion", []string{"completion", "bash"}},
		{0, "virtual server $(reboot)", []string{"ipvs", "--vs", "$(reboot)", "--rs", "10.0.0.1:6443", "--health-path", "/healthz", "--health-schem", "https", "--run-once"}},
		{0, "failed", []string{"route", "--host", "198.18.5.254"}},
		{1, "not an IPv4 address", []string{"route", "add", "--host", "10.103.97.2", "--gateway", "$(reboot)"}},
		{1, "disabled", []string{"delete", "--node", "10.0.0.1"}},
		{1, "disabled", []string{"install", "--pkg-url", "x"}},
		{1, "disabled", []string{"cloud"}},
		{1, "no such command", []string{"upgrade", "--version", "v1.17.0"}},
		{1, "no such command", []string{"etcd", "save"}},
		{255, "config.yaml", []string{"exec", "--cmd", "date"}},
		{1, "unknown command", []string{"nonsense"}},
		{1, "unknown flag", []string{"clean", "--nonsense"}},
		{1, "the node's name is empty", []string{"cert", "--node-ip", "10.0.0.1", "--service-cidr", "10.96.0.0/12"}},
	} {
		r := l.sealos(c.arguments...)
		if r.status != c.status || !strings.Contains(r.output, c.phrase) {
			t.Errorf("%v: status %d, want %d with %q:\n%s%s", c.arguments, r.status, c.status, c.phrase, tail(r.output), r.err)
		}
	}
}

// `sealos cert` runs on a further master, beside the CAs that were copied there.
func TestCertOnTheHost(t *testing.T) {
	l := newLab(t, 0)
	arguments := []string{"cert", "--node-ip", "10.0.0.2", "--node-name", "sealos02", "--service-cidr", "10.96.0.0/12", "--dns-domain", "cluster.local",
		"--alt-names", "127.0.0.1", "--alt-names", "apiserver.cluster.local", "--cert-path", l.path("pki"), "--cert-etcd-path", l.path("pki/etcd")}
	l.want(l.sealos(arguments...), 0)
	ca, leaf := l.read("pki/ca.crt"), l.read("pki/apiserver.crt")
	l.want(l.sealos(arguments...), 0)
	if l.read("pki/ca.crt") != ca || l.read("pki/apiserver.crt") == leaf {
		t.Error("the CA was made anew, or the leaf was not")
	}
}

// --info hides details on the console, not in the log.
func TestInfo(t *testing.T) {
	l := newLab(t, 1)
	l.installed(l.net.Hosts, nil)
	r := l.sealos("--info", "clean", "--master", l.host(0).Address, "-f")
	l.want(r, 0, "[INFO]")
	if strings.Contains(r.output, "[DEBG]") {
		t.Error("details on the console")
	}
}

// The lab's own knobs: a fault strikes as often as it says, on its host only; a killed sealos is killed.
func TestFaults(t *testing.T) {
	l := newLab(t, 3)
	l.installed(l.net.Hosts[:1], nil)
	l.write(".sealos-standin-faults.json", `{"faults":[{"step":"kubeadm-join-node","host":"127.0.0.3","action":"fail","times":1,"message":"played"}]}`)
	r := l.sealos("join", "--node", l.host(1).Address+","+l.host(2).Address)
	l.want(r, 0, "injected fault at kubeadm-join-node: played")
	if count(l.net.Texts(l.host(1)), "^kubeadm join") != 0 || count(l.net.Texts(l.host(2)), "^kubeadm join") != 1 {
		t.Error("the fault struck another host, or none")
	}
	if got := l.read(".sealos-standin-faults.json"); strings.Contains(got, "kubeadm") {
		t.Errorf("the spent fault is still there: %s", got)
	}
	l.want(l.sealos("clean", "--node", l.host(1).Address, "-f"), 0)
	l.write("elsewhere.json", `{"faults":[{"step":"init-sh","action":"kill-after"}]}`)
	t.Setenv("LAB_SEALOS_FAULTS", l.path("elsewhere.json"))
	l.net.Forget()
	r = l.sealos("join", "--node", l.host(1).Address)
	if r.status != -1 {
		t.Errorf("status %d of a killed sealos", r.status)
	}
	inOrder(t, l.net.Texts(l.host(1)), "bash init.sh")
	if count(l.net.Texts(l.host(1)), "^kubeadm join") != 0 {
		t.Error("it went on after it was killed")
	}
	if c, err := config.Load(l.config()); err != nil || len(c.Nodes) != 1 {
		t.Errorf("config.yaml after the kill: %+v, %v", c, err)
	}
	if err := os.Unsetenv("LAB_SEALOS_FAULTS"); err != nil {
		t.Fatal(err)
	}
}
