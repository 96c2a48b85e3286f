package cmd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"gopkg.in/yaml.v3"

	"sealos-istio/standins/sealos/internal/sshtest"
)

// The order of an init of two masters and a node; and what it leaves.
func TestInitOrderAndTraces(t *testing.T) {
	l := newLab(t, 3)
	m0, m1, node := l.host(0), l.host(1), l.host(2)
	m0.Place("/root/kube/Metadata", []byte(`{"k8sVersion":"v1.16.3","cniVersion":"v3.8.2","cniName":"calico"}`))
	var early string
	l.net.Watch(func(o sshtest.Operation) {
		if o.Text == "hostname" && early == "" {
			early = l.read(".sealos/config.yaml")
		}
	})
	r := l.init([]*sshtest.Host{m0, m1}, []*sshtest.Host{node}, "--cert-sans", "api.example.com")
	l.want(r, 0, "sealos install success.", "check ok")
	if !strings.Contains(r.output[strings.Index(r.output, "sealos install success."):], "stand-in") {
		t.Error("no banner after the success line")
	}

	send := []string{
		"^mkdir -p /usr/bin", "^ps -ef .*rm -rf /usr/bin/sealos$", "^ls -l /usr/bin/sealos ", "^put /usr/bin/sealos$", "^md5sum /usr/bin/sealos ", "^chmod a.x /usr/bin/sealos$",
		"^mkdir -p /root ", "^ls -l /root/kube1.16.3.tar.gz", "^put /root/kube1.16.3.tar.gz$", "^md5sum /root/kube1.16.3.tar.gz",
		`^cd /root && rm -rf kube && tar zxvf kube1.16.3.tar.gz .*rm -f ../bin/sealos && bash init.sh && rm -rf /opt/cni/bin/\*`,
	}
	check := []string{"^hostname$", "^cat /etc/hosts .grep %s .. echo '%s %s' >> /etc/hosts$"}
	named := func(h *sshtest.Host) []string {
		return []string{check[0], fmt.Sprintf(check[1], h.Name, h.IP(), h.Name)}
	}
	inOrder(t, l.net.Texts(m0), slices.Concat(named(m0), send, []string{
		"docker info -f", `(?s)^echo ".*" > /root/kubeadm-config.yaml$`, "^hostname$", "^hostname$",
		"^put /etc/kubernetes/kubelet.conf$", "^put /etc/kubernetes/admin.conf$", "^put /etc/kubernetes/controller-manager.conf$",
		"^put /etc/kubernetes/scheduler.conf$", "^put /etc/kubernetes/pki/apiserver.crt$",
		"^put /etc/kubernetes/pki/etcd/ca.key$", "^put /etc/kubernetes/pki/sa.pub$",
		"^grep -qF '127.0.0.2 apiserver.cluster.local' /etc/hosts .. echo 127.0.0.2 apiserver.cluster.local >> /etc/hosts$",
		"^kubeadm init --config=/root/kubeadm-config.yaml --upload-certs -v 0$",
		"^mkdir -p /root/.kube && cp /etc/kubernetes/admin.conf /root/.kube/config && chmod 600 /root/.kube/config$",
		"^ls -l /root/kube/Metadata", "^cat /root/kube/Metadata$", "^put /tmp/cni.yaml$", "^kubectl apply -f /tmp/cni.yaml$",
	})...)
	inOrder(t, l.net.Texts(m1), slices.Concat(named(m1), send, []string{
		"^put /etc/kubernetes/admin.conf$", "^put /etc/kubernetes/scheduler.conf$", "^put /etc/kubernetes/pki/ca.key$",
		"docker info", `(?s)^echo ".*" > /root/kubeadm-join-config.yaml$`, "^hostname$",
		"^sealos cert --node-ip 127.0.0.3 --node-name sealos02 --service-cidr 10.96.0.0/12 --dns-domain cluster.local --alt-names 127.0.0.1 .*--alt-names api.example.com",
		"^echo 127.0.0.2 apiserver.cluster.local >> /etc/hosts$", "^kubeadm join --config=/root/kubeadm-join-config.yaml -v 0$",
		`^sed "s/127.0.0.2 apiserver.cluster.local/127.0.0.3 apiserver.cluster.local/g" -i /etc/hosts$`, "^mkdir -p /root/.kube && cp ", "^rm -rf /root/kube .. :$",
	})...)
	inOrder(t, l.net.Texts(node), slices.Concat(named(node), send, []string{
		"docker info", `(?s)^echo ".*" > /root/kubeadm-join-config.yaml$`, "^echo 10.103.97.2 apiserver.cluster.local >> /etc/hosts$", "^sealos route --host 127.0.0.4$",
		"^sealos ipvs --vs 10.103.97.2:6443 --rs 127.0.0.2:6443 --rs 127.0.0.3:6443 --health-path /healthz --health-schem https --run-once$",
		"^kubeadm join --config=/root/kubeadm-join-config.yaml -v 0$", "^mkdir -p /etc/kubernetes/manifests$", "^put /etc/kubernetes/manifests/kube-sealyun-lvscare.yaml$", "^rm -rf /root/kube$",
	})...)
	all := l.net.Texts(nil)
	inOrder(t, all, "grep sealos01", "grep sealos02", "grep sealos03", "^kubeadm init", "^kubectl apply", "^put /etc/kubernetes/admin.conf$", "sealos cert", "--rs 127.0.0.3:6443")
	if n := count(l.net.Texts(m1), "^put .*/kubelet.conf$"); n != 0 {
		t.Errorf("kubelet.conf went to the second master, %d operations", n)
	}
	if count(l.net.Texts(node), "^put .*(pki|admin.conf)") != 0 {
		t.Error("keys went to the node")
	}
	if n := len(all); n < 100 || n > 300 {
		t.Errorf("%d remote operations; 180 were measured for 2 masters and a node", n)
	}

	l.checkConnections()
	l.checkDocuments(m0, m1, node)
	l.checkLocalTraces(early, r.output)
}

// A terminal for every command; a new connection for each, the copy of the pki apart.
func (l *lab) checkConnections() {
	l.t.Helper()
	byConnection := map[int][]string{}
	for _, o := range l.net.Operations() {
		if !o.Pty && !strings.HasPrefix(o.Text, "put ") {
			l.t.Errorf("no terminal for %q", o.Text)
		}
		byConnection[o.Connection] = append(byConnection[o.Connection], o.Text)
	}
	for _, texts := range byConnection {
		if len(texts) > 1 && count(texts, "/etc/kubernetes/pki/") != len(texts) {
			l.t.Errorf("one connection for %v", texts)
		}
	}
}

// throughShell is the file that a recorded `echo "…" > PATH` really makes.
func (l *lab) throughShell(h *sshtest.Host, target string) []map[string]any {
	l.t.Helper()
	for _, text := range l.net.Texts(h) {
		if strings.HasSuffix(text, " > "+target) {
			local := filepath.Join(l.t.TempDir(), "made")
			if output, err := exec.Command("bash", "-c", strings.TrimSuffix(text, target)+local).CombinedOutput(); err != nil {
				l.t.Fatalf("%v %s", err, output)
			}
			data, err := os.ReadFile(local)
			if err != nil {
				l.t.Fatal(err)
			}
			return documents(l.t, data)
		}
	}
	l.t.Fatalf("%s was not written on %s", target, h.Name)
	return nil
}

func documents(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var list []map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var document map[string]any
		if err := decoder.Decode(&document); err != nil {
			if err.Error() == "EOF" {
				return list
			}
			t.Fatalf("%v in\n%s", err, data)
		}
		list = append(list, document)
	}
}

func (l *lab) checkDocuments(m0, m1, node *sshtest.Host) {
	l.t.Helper()
	same := func(what string, got, want any) {
		l.t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			l.t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	kubeadm := l.throughShell(m0, "/root/kubeadm-config.yaml")
	same("kubeadm's API version", kubeadm[1]["apiVersion"], "kubeadm.k8s.io/v1beta1")
	same("controlPlaneEndpoint", kubeadm[1]["controlPlaneEndpoint"], "apiserver.cluster.local:6443")
	same("networking", kubeadm[1]["networking"], map[string]any{"podSubnet": "100.64.0.0/10", "serviceSubnet": "10.96.0.0/12"})
	same("certSANs", kubeadm[1]["apiServer"].(map[string]any)["certSANs"],
		[]any{"127.0.0.1", "apiserver.cluster.local", "127.0.0.2", "127.0.0.3", "api.example.com", "10.103.97.2"})
	same("kube-proxy's mode", kubeadm[2]["mode"], "ipvs")
	for _, c := range []struct {
		host             *sshtest.Host
		endpoint, master string
	}{{m1, "127.0.0.2:6443", "127.0.0.3"}, {node, "10.103.97.2:6443", ""}} {
		join := l.throughShell(c.host, "/root/kubeadm-join-config.yaml")[0]
		same("kind", join["kind"], "JoinConfiguration")
		same("bootstrapToken", join["discovery"].(map[string]any)["bootstrapToken"],
			map[string]any{"apiServerEndpoint": c.endpoint, "token": sshtest.Token, "caCertHashes": []any{sshtest.CACertHash}})
		if c.master == "" {
			same("a node's controlPlane", join["controlPlane"], nil)
		} else {
			same("a master's controlPlane", join["controlPlane"], map[string]any{"localAPIEndpoint": map[string]any{"advertiseAddress": c.master, "bindPort": 6443}})
		}
	}
	lvscare := documents(l.t, node.File("/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml"))[0]
	container := lvscare["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	same("lvscare's image", container["image"], "fanux/lvscare:latest")
	if args := fmt.Sprint(container["args"]); !strings.Contains(args, "--vs 10.103.97.2:6443") || !strings.Contains(args, "--rs 127.0.0.2:6443 --rs 127.0.0.3:6443") {
		l.t.Errorf("lvscare's arguments are %s", args)
	}
}

func (l *lab) checkLocalTraces(early, output string) {
	l.t.Helper()
	if !strings.Contains(early, `dnsdomain: ""`) || !strings.Contains(early, "apiservercertsans: []") || !strings.Contains(early, sshtest.Password) {
		l.t.Errorf("config.yaml at the first command was\n%s", early)
	}
	c := l.load()
	if c.DNSDomain != "cluster.local" || !slices.Contains(c.APIServerCertSANs, "api.example.com") || c.Network != "calico" || len(c.Masters) != 2 || len(c.Nodes) != 1 {
		l.t.Errorf("config.yaml at the end: %+v", c)
	}
	for name, mode := range map[string]os.FileMode{"config.yaml": 0o644, "admin.conf": 0o600, "kubelet.conf": 0o600, "cni.yaml": 0o755, "sealos.log": 0o660} {
		info, err := os.Stat(l.path(".sealos/" + name))
		if err != nil {
			l.t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			l.t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), mode)
		}
	}
	if hosts := l.read("hosts"); hosts != "127.0.0.1 localhost\n127.0.0.2 apiserver.cluster.local" {
		l.t.Errorf("the local hosts file is %q", hosts)
	}
	log := l.read(".sealos/sealos.log")
	for where, text := range map[string]string{"output": output, "log": log} {
		if strings.Contains(text, sshtest.Password) {
			l.t.Errorf("the password is in the %s", where)
		}
		for _, secret := range []string{sshtest.Token, sshtest.CACertHash, sshtest.CertificateKey} {
			if !strings.Contains(text, secret) {
				l.t.Errorf("%s is not in the %s, where the real one leaves it", secret, where)
			}
		}
	}
	if !strings.Contains(log, "[####]JoinToken :"+sshtest.Token) {
		l.t.Error("the token is not in the log once more, where the real one leaves it")
	}
	if !regexp.MustCompile(`\[DEBG\] .*\]command result is: .*\n(?:[^0-9\n].*\n|\n)*  kubeadm join `).MatchString(log) {
		l.t.Error("what kubeadm init printed is not one entry with raw lines")
	}
	if text := l.read(".sealos/config.yaml"); !strings.HasPrefix(text, "masters:\n- 127.0.0.2:") {
		l.t.Errorf("lists are indented, which the real one's are not:\n%s", text)
	}
	if strings.Contains(log, "\x1b[") || !strings.Contains(output, "\x1b[") {
		l.t.Error("colours belong on the console only")
	}
	if got := strings.TrimSpace(l.read(".sealos-standin-count")); got != "1" {
		l.t.Errorf("init was counted %s times", got)
	}
}

// All of this fails and init still says success and ends with 0.
func TestInitIgnoresFailures(t *testing.T) {
	l := newLab(t, 4)
	m1, bad, good := l.host(1), l.host(2), l.host(3)
	l.net.On(bad, "bash init.sh", sshtest.Reply{Output: "docker.sh: unknown OS\n", Status: 1})
	l.net.On(bad, "^kubeadm join", sshtest.Reply{Output: "error execution phase preflight\n", Status: 1})
	l.net.On(m1, "^kubeadm join", sshtest.Reply{Status: 1})
	l.net.On(nil, "^kubectl apply", sshtest.Reply{Status: 1})
	good.BreakMD5("/root/kube1.16.3.tar.gz")
	r := l.init([]*sshtest.Host{l.host(0), m1}, []*sshtest.Host{bad, good})
	l.want(r, 0, "sealos install success.", "md5 of /root/kube1.16.3.tar.gz differs", "[ssh]["+bad.Address+"] error execution phase preflight")
	if n := strings.Count(r.output, "Error exec command failed: Process exited with status 1"); n != 1 {
		t.Errorf("%d commands tell that they failed; only kubectl's does, not a join's or init.sh's", n)
	}
	if c := l.load(); !slices.Equal(c.Masters, l.net.Addresses()[:2]) || !slices.Equal(c.Nodes, l.net.Addresses()[2:]) {
		t.Errorf("members are %v and %v", c.Masters, c.Nodes)
	}
	if count(l.net.Texts(good), "--rs 127.0.0.3:6443") != 1 {
		t.Error("the master that did not join is no real server")
	}
	inOrder(t, l.net.Texts(bad), "bash init.sh", "^kubeadm join", "^put /etc/kubernetes/manifests/kube-sealyun-lvscare.yaml$")
}

// A failed `kubeadm init` is fatal and leaves half a config; a second init may succeed. A join of a master
// after the failed one has no names for its certificate.
func TestInitFailsAtKubeadm(t *testing.T) {
	l := newLab(t, 2)
	l.net.On(nil, "^kubeadm init --config", sshtest.Reply{Output: "[ERROR Port-6443]: Port 6443 is in use\n", Status: 1})
	r := l.init(l.net.Hosts[:1], nil)
	l.want(r, 1, "install kubernetes failed. please clean and uninstall.", "Port-6443")
	c := l.load()
	if c.DNSDomain != "" || len(c.APIServerCertSANs) != 0 {
		t.Errorf("config.yaml after the failure: %+v", c)
	}
	for _, name := range []string{".sealos/pki/ca.key", ".sealos/admin.conf"} {
		if !l.exists(name) {
			t.Errorf("%s is gone", name)
		}
	}
	if l.host(0).File("/etc/kubernetes/pki/ca.key") == nil || l.host(0).File("/etc/kubernetes/kubelet.conf") == nil {
		t.Error("keys and kubeconfigs are not on the host")
	}
	l.want(l.sealos("join", "--master", l.host(1).Address), 0)
	if count(l.net.Texts(l.host(1)), "^sealos cert --node-ip 127.0.0.3 --node-name sealos02 --service-cidr 10.96.0.0/12$") != 1 {
		t.Error("`sealos cert` was not called without names and domain")
	}
	ca := l.read(".sealos/pki/ca.crt")
	l.net.Forget()
	l.want(l.init(l.net.Hosts[:1], nil), 0, "sealos install success.")
	if l.read(".sealos/pki/ca.crt") != ca {
		t.Error("the CA was not used again")
	}
	texts := l.net.Texts(l.host(0))
	if count(texts, "kubeadm reset") != 0 {
		t.Error("a second init resets nothing")
	}
	if count(texts, "^put /root/kube1.16.3.tar.gz") != 0 || count(texts, "^put /usr/bin/sealos") != 0 || count(texts, "rm -rf /opt/cni/bin/") != 1 {
		t.Error("the same package was sent again, or its hook did not run again")
	}
	if strings.TrimSpace(l.read(".sealos-standin-count")) != "2" {
		t.Error("two inits were not counted")
	}
}

// Kubeconfigs of another CA.
func TestInitRefusesKubeconfigsOfAnotherCA(t *testing.T) {
	l := newLab(t, 1)
	l.net.On(nil, "^kubeadm init --config", sshtest.Reply{Status: 1})
	l.want(l.init(l.net.Hosts, nil), 1)
	if err := os.RemoveAll(l.path(".sealos/pki")); err != nil {
		t.Fatal(err)
	}
	l.want(l.init(l.net.Hosts, nil), 255, "generator kubeconfig failed", "has got the wrong CA cert")
}

// Everything from a file that only its owner reads; the password is in no argument.
func TestInitFromFile(t *testing.T) {
	l := newLab(t, 1)
	text := fmt.Sprintf("masters: [%q]\nnodes: []\nuser: root\npasswd: %q\nprivatekey: /none\napiserverdomain: apiserver.cluster.local\nnetwork: calico\n"+
		"vip: 10.103.97.2\npkgurl: %s\nversion: v1.16.3\nrepo: k8s.gcr.io\npodcidr: 100.64.0.0/10\nsvccidr: 10.96.0.0/12\ncertpath: %s\ncertetcdpath: %s\n"+
		"lvscarename: fanux/lvscare\nlvscaretag: latest\n", l.host(0).Address, sshtest.Password, l.pkg(), l.path(".sealos/pki"), l.path(".sealos/pki/etcd"))
	l.write(".sealos/config.yaml", text)
	l.want(l.sealos("init", "--config", l.config()), 0, "sealos install success.")
	info, err := os.Stat(l.config())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("config.yaml: %v, %v; want mode 0600 kept", info.Mode(), err)
	}
	if l.load().DNSDomain != "cluster.local" {
		t.Error("config.yaml was not completed")
	}
	l.write("half.yaml", "masters: [10.0.0.1]\nversion: v1.16.3\n")
	l.want(l.sealos("init", "--config", l.path("half.yaml")), 1, "certpath")
	l.want(l.sealos("init", "--config", l.path("none.yaml")), 1, "none.yaml")
}

// Exit statuses before anything is done on a host.
func TestInitRefusals(t *testing.T) {
	l := newLab(t, 3)
	address := l.host(0).Address
	for name, c := range map[string]struct {
		status    int
		phrase    string
		arguments []string
	}{
		"no master":     {255, "your master is empty.", []string{"--version", "v1.16.3", "--pkg-url", l.pkg()}},
		"no version":    {255, "your kubernetes version is empty.", []string{"--master", address, "--pkg-url", l.pkg()}},
		"no package":    {255, "your package file is not exist", []string{"--master", address, "--version", "v1.16.3", "--pkg-url", l.path("none")}},
		"bad master":    {1, "node1", []string{"--master", "node1", "--version", "v1.16.3", "--pkg-url", l.pkg()}},
		"bad node":      {1, "10.0.0.9-10.0.0.2", []string{"--master", address, "--node", "10.0.0.9-10.0.0.2", "--version", "v1.16.3", "--pkg-url", l.pkg()}},
		"unknown flag":  {1, "unknown flag: --ipip", []string{"--ipip"}},
		"odd version":   {1, "1.16", []string{"--master", address, "--version", "1.16", "--pkg-url", l.pkg()}},
		"bad own fault": {1, "no step", []string{"--master", address, "--version", "v1.16.3", "--pkg-url", l.pkg()}},
	} {
		if name == "bad own fault" {
			l.write(".sealos-standin-faults.json", `{"faults":[{"step":"nonsense","action":"fail"}]}`)
		}
		r := l.sealos(append([]string{"init"}, c.arguments...)...)
		if r.status != c.status || !strings.Contains(r.output, c.phrase) {
			t.Errorf("%s: status %d, want %d with %q:\n%s%s", name, r.status, c.status, c.phrase, tail(r.output), r.err)
		}
		if c.status == 255 && !strings.Contains(r.output, "Usage:") {
			t.Errorf("%s: no help", name)
		}
		_ = os.Remove(l.path(".sealos-standin-faults.json"))
	}
	if len(l.net.Operations()) != 0 {
		t.Errorf("hosts were asked: %v", l.net.Texts(nil))
	}
}

// A host that can't be used at the check is fatal; config.yaml with the password is there already.
func TestInitCheck(t *testing.T) {
	for name, c := range map[string]struct {
		phrase string
		change func(l *lab)
	}{
		"host down":      {"]Error create ssh session failed,dial tcp", func(l *lab) { l.host(1).Stop() }},
		"same name":      {"duplicate hostnames is not allowed", func(l *lab) { l.host(1).Name = "sealos01" }},
		"empty name":     {"hostname", func(l *lab) { l.host(1).Name = "" }},
		"wrong password": {"unable to authenticate", func(l *lab) {}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 2)
			c.change(l)
			var more []string
			if name == "wrong password" {
				more = []string{"--passwd", "wrong"}
			}
			l.want(l.init(l.net.Hosts[:1], l.net.Hosts[1:], more...), 1, c.phrase)
			if l.load().Passwd == "" {
				t.Error("config.yaml has no password")
			}
			if count(l.net.Texts(nil), "put |tar |kubeadm") != 0 {
				t.Errorf("hosts were changed: %v", l.net.Texts(nil))
			}
		})
	}
}

// The key first, the password after; a key that can't be read or is not there is no error.
func TestLogin(t *testing.T) {
	l := newLab(t, 1)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("pass phrase"))
	if err != nil {
		t.Fatal(err)
	}
	l.write("plain", string(pem.EncodeToMemory(plain)))
	l.write("locked", string(pem.EncodeToMemory(locked)))
	l.write("broken", "no key")
	l.net.Allow(allowed)
	l.net.On(nil, "^hostname$", sshtest.Reply{}) // logged in is enough: an empty name ends the run
	for _, c := range []struct {
		arguments []string
		in        bool
	}{
		{[]string{"--pk", l.path("plain")}, true},
		{[]string{"--pk", l.path("plain"), "--passwd", "wrong"}, true},
		{[]string{"--pk", l.path("locked"), "--pk-passwd", "pass phrase"}, true},
		{[]string{"--pk", l.path("locked")}, false},
		{[]string{"--pk", l.path("broken"), "--passwd", sshtest.Password}, true},
		{[]string{"--pk", l.path("none"), "--passwd", sshtest.Password}, true},
		{[]string{"--pk", l.path("none")}, false},
	} {
		l.net.Forget()
		l.net.On(nil, "^hostname$", sshtest.Reply{})
		l.want(l.sealos(append([]string{"init", "--master", l.host(0).Address, "--version", "v1.16.3", "--pkg-url", l.pkg()}, c.arguments...)...), 1)
		if in := len(l.net.Operations()) > 0; in != c.in {
			t.Errorf("%v: logged in %v, want %v", c.arguments, in, c.in)
		}
	}
}

// The local line is left alone when the name stands there, whatever its address.
func TestLocalHostsLine(t *testing.T) {
	l := newLab(t, 1)
	l.write("hosts", "10.9.9.9 apiserver.cluster.local\n")
	l.net.On(nil, "^kubeadm init --config", sshtest.Reply{Status: 1})
	l.want(l.init(l.net.Hosts, nil), 1)
	if got := l.read("hosts"); got != "10.9.9.9 apiserver.cluster.local\n" {
		t.Errorf("hosts file is %q", got)
	}
}
