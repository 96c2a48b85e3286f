package cmd

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/sshtest"
)

// The test binary is sealos itself when this is set: the tests see real exit statuses, files and standard streams.
const actAsSealos = "SEALOS_TEST_ACT_AS_SEALOS"

func TestMain(m *testing.M) {
	if os.Getenv(actAsSealos) != "" {
		os.Exit(Execute())
	}
	os.Exit(m.Run())
}

// lab is a set of played machines and the home of a user who runs sealos.
type lab struct {
	t    *testing.T
	net  *sshtest.Network
	home string
}

type result struct {
	status      int
	output, err string // standard output and error
}

func newLab(t *testing.T, machines int) *lab {
	t.Helper()
	l := &lab{t: t, net: sshtest.Start(t, machines), home: t.TempDir()}
	l.write("kube1.16.3.tar.gz", "a package")
	l.write("hosts", "127.0.0.1 localhost\n")
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.home, name) }
func (l *lab) pkg() string             { return l.path("kube1.16.3.tar.gz") }
func (l *lab) config() string          { return l.path(".sealos/config.yaml") }
func (l *lab) host(i int) *sshtest.Host {
	return l.net.Hosts[i]
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.path(name)), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) read(name string) string {
	l.t.Helper()
	data, err := os.ReadFile(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

func (l *lab) exists(name string) bool { _, err := os.Stat(l.path(name)); return err == nil }

func (l *lab) load() *config.Config {
	l.t.Helper()
	c, err := config.Load(l.config())
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lab) sealosWith(stdin string, arguments ...string) result {
	l.t.Helper()
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	command := exec.Command(self, arguments...)
	command.Env = append(os.Environ(), actAsSealos+"=1", "HOME="+l.home, "LAB_SEALOS_ETC_HOSTS="+l.path("hosts"))
	command.Dir = l.home
	command.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err = command.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		l.t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), out.String(), problems.String()}
}

func (l *lab) sealos(arguments ...string) result {
	l.t.Helper()
	return l.sealosWith("", arguments...)
}

// init runs an init of masters and nodes with the right password.
func (l *lab) init(masters, nodes []*sshtest.Host, more ...string) result {
	l.t.Helper()
	arguments := []string{"init", "--passwd", sshtest.Password, "--version", "v1.16.3", "--pkg-url", l.pkg()}
	for _, h := range masters {
		arguments = append(arguments, "--master", h.Address)
	}
	for _, h := range nodes {
		arguments = append(arguments, "--node", h.Address)
	}
	return l.sealos(append(arguments, more...)...)
}

// installed writes what an init of masters and nodes has left in home.
func (l *lab) installed(masters, nodes []*sshtest.Host) {
	l.t.Helper()
	c := config.Sample()
	c.Masters, c.Nodes, c.Passwd, c.PkgURL = nil, nil, sshtest.Password, l.pkg()
	c.CertPath, c.CertEtcdPath = l.path(".sealos/pki"), l.path(".sealos/pki/etcd")
	c.APIServerCertSANs = []string{"127.0.0.1", "apiserver.cluster.local"}
	for _, h := range masters {
		c.Masters = append(c.Masters, h.Address)
	}
	for _, h := range nodes {
		c.Nodes = append(c.Nodes, h.Address)
	}
	if err := c.Save(l.home, l.config()); err != nil {
		l.t.Fatal(err)
	}
	for _, name := range []string{"admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf", "pki/ca.crt", "pki/etcd/ca.crt"} {
		l.write(".sealos/"+name, "the "+name)
	}
}

func (l *lab) want(r result, status int, phrases ...string) {
	l.t.Helper()
	if r.status != status {
		l.t.Errorf("status %d, want %d\n%s\n%s", r.status, status, tail(r.output), r.err)
	}
	for _, phrase := range phrases {
		if !strings.Contains(r.output, phrase) {
			l.t.Errorf("output has no %q:\n%s", phrase, tail(r.output))
		}
	}
}

func tail(text string) string {
	if len(text) > 3000 {
		return "…" + text[len(text)-3000:]
	}
	return text
}

// inOrder finds each pattern in texts after the one before it.
func inOrder(t *testing.T, texts []string, patterns ...string) {
	t.Helper()
	at := 0
	for _, pattern := range patterns {
		match := regexp.MustCompile(pattern)
		found := slices.IndexFunc(texts[at:], match.MatchString)
		if found < 0 {
			t.Errorf("no %q after operation %d of:\n%s", pattern, at, strings.Join(texts, "\n"))
			return
		}
		at += found + 1
	}
}

func count(texts []string, pattern string) int {
	match, n := regexp.MustCompile(pattern), 0
	for _, text := range texts {
		if match.MatchString(text) {
			n++
		}
	}
	return n
}
