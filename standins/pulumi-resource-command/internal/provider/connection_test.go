package provider_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"sealos-istio/standins/pulumi-resource-command/internal/sshtest"
)

func TestWaysToLogIn(t *testing.T) {
	e := newEngine(t)
	key, other := sshtest.NewKey(t), sshtest.NewKey(t)
	host := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{key.Signer.PublicKey()}})
	interactive := sshtest.Start(t, sshtest.Options{NoPassword: true})
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: &key.Private}); err != nil {
		t.Fatal(err)
	}
	socket := serveAgent(t, keyring)
	bare := func(s *sshtest.Server) props {
		return props{"host": "127.0.0.1", "port": s.Port, "dialErrorLimit": 0}
	}
	for name, c := range map[string]struct {
		connection props
		agent      string
	}{
		"password":             {to(host), ""},
		"keyboard interactive": {to(interactive), ""},
		"key":                  {with(bare(host), props{"privateKey": key.PEM(t, "")}), ""},
		"key with passphrase": {
			with(bare(host), props{"privateKey": key.PEM(t, "words"), "privateKeyPassword": "words"}), "",
		},
		"wrong key, then password": {with(to(host), props{"privateKey": other.PEM(t, "")}), ""},
		"agent by input":           {with(bare(host), props{"agentSocketPath": socket}), ""},
		"agent by environment":     {bare(host), socket},
		"pinned host key":          {with(to(host), props{"hostKey": host.HostKey.Line()}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", c.agent)
			created, err := e.create(remoteCommand, props{"connection": c.connection, "create": "echo in"})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "stdout", created.out("stdout"), "in")
		})
	}
}

func serveAgent(t *testing.T, keyring agent.Agent) string {
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, client)
		}
	}()
	return socket
}

// Each failure is retried, a log-in that can never succeed too: 1 + dialErrorLimit attempts.
func TestFailuresAreRetried(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	for name, c := range map[string]struct {
		connection props
		limit      int
		want       string
	}{
		"refused":        {with(to(host), props{"port": closedPort(t)}), 2, "after 2 failed attempts: dial tcp 127.0.0.1:"},
		"wrong password": {with(to(host), props{"password": "no"}), 2, "after 2 failed attempts: ssh: handshake failed: ssh: unable to authenticate"},
		"wrong host key": {
			with(to(host), props{"hostKey": sshtest.NewKey(t).Line()}), 1,
			"after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch",
		},
		"no retries": {with(to(host), props{"password": "no"}), 0, "after 0 failed attempts: ssh: handshake failed"},
	} {
		t.Run(name, func(t *testing.T) {
			e.log.reset()
			before := host.Count("connect")
			c.connection["dialErrorLimit"] = c.limit
			_, err := e.create(remoteCommand, props{"connection": c.connection, "create": "true"})
			fails(t, err, c.want)
			var wanted []string
			for try := 1; try <= c.limit; try++ {
				wanted = append(wanted, fmt.Sprintf("INFO Dial %d/%d failed: retrying", try, c.limit))
			}
			if got := e.log.matching("failed: retrying"); !slices.Equal(got, wanted) {
				t.Errorf("log: got %q, want %q", got, wanted)
			}
			if c.connection["port"] == host.Port {
				equal(t, "connections", host.Count("connect")-before, c.limit+1)
			}
		})
	}
	equal(t, "commands run", host.Count("exec"), 0)
}

func TestNoLimitEndsWithCancel(t *testing.T) {
	e := newEngine(t)
	ended := make(chan error)
	go func() {
		_, err := e.create(remoteCommand, props{"create": "true", "connection": props{
			"host": "127.0.0.1", "port": closedPort(t), "dialErrorLimit": -1,
		}})
		ended <- err
	}()
	eventually(t, "third retry", func() bool { return len(e.log.matching("Dial 3/inf failed: retrying")) == 1 })
	if err := e.server.Cancel(); err != nil {
		t.Fatal(err)
	}
	fails(t, <-ended, "context canceled")
}

// What cannot get better fails before anything is dialled.
func TestUnusableSettingsFailAtOnce(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	key := sshtest.NewKey(t)
	for name, c := range map[string]struct {
		more props
		want string
	}{
		"key":              {props{"privateKey": "rubbish"}, "ssh: no key found"},
		"no passphrase":    {props{"privateKey": key.PEM(t, "words")}, "passphrase protected"},
		"wrong passphrase": {props{"privateKey": key.PEM(t, "words"), "privateKeyPassword": "no"}, "password incorrect"},
		"host key":         {props{"hostKey": "rubbish"}, "host key"},
		"agent":            {props{"agentSocketPath": filepath.Join(t.TempDir(), "none")}, "dial unix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.create(remoteCommand, props{"connection": with(to(host), c.more), "create": "true"})
			fails(t, err, c.want)
		})
	}
	equal(t, "connections", host.Count("connect"), 0)
	equal(t, "retries", len(e.log.matching("retrying")), 0)
}

// perDialTimeout covers the TCP connect alone: a host that accepts and stays mute holds the update until it hangs up.
func TestMuteHostHangs(t *testing.T) {
	e := newEngine(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if client, err := listener.Accept(); err == nil {
			accepted <- client
			listener.Close()
		}
	}()
	ended := make(chan error, 1)
	go func() {
		_, err := e.create(remoteCommand, props{"create": "true", "connection": props{
			"host": "127.0.0.1", "port": listener.Addr().(*net.TCPAddr).Port,
			"perDialTimeout": 1, "dialErrorLimit": 0, "password": "x",
		}})
		ended <- err
	}()
	client := <-accepted
	if err := e.server.Cancel(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("ended before the host hung up: %v", err)
	case <-time.After(1300 * time.Millisecond):
	}
	client.Close()
	fails(t, <-ended, "handshake failed")
}

// A host that drops packets: perDialTimeout ends each attempt to connect.
func TestSilentHostTimesOut(t *testing.T) {
	e := newEngine(t)
	started := time.Now()
	_, err := e.create(remoteCommand, props{"create": "true", "connection": props{
		"host": "127.0.0.1", "port": fullPort(t), "perDialTimeout": 1, "dialErrorLimit": 0,
	}})
	fails(t, err, "after 0 failed attempts: dial tcp 127.0.0.1:", "i/o timeout")
	if took := time.Since(started); took < time.Second || took > 10*time.Second {
		t.Errorf("took %v, want about 1 s", took)
	}
}

// fullPort is a port of loopback whose queue is full, so that the kernel drops every further attempt to connect.
func fullPort(t *testing.T) int {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	if err := errors.Join(
		syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(socket, 0),
	); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*syscall.SockaddrInet4).Port
	for range 10 {
		client, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { client.Close() })
	}
	t.Fatal("the queue does not fill")
	return 0
}

func TestProxy(t *testing.T) {
	e := newEngine(t)
	bastion, host := sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	through := func(more, moreProxy props) props {
		return with(with(to(host), props{"proxy": with(to(bastion), moreProxy)}), more)
	}
	t.Run("passes", func(t *testing.T) {
		created := e.mustCreate(remoteCommand, props{"create": "echo there", "connection": through(
			props{"hostKey": host.HostKey.Line()}, props{"hostKey": bastion.HostKey.Line()})})
		equal(t, "stdout", created.out("stdout"), "there")
		equal(t, "forwarded", bastion.Count("forward"), 1)
		equal(t, "run on the bastion", bastion.Count("exec"), 0)
	})
	other := sshtest.NewKey(t).Line()
	for name, c := range map[string]struct {
		connection props
		want, log  string
	}{
		"bastion refuses":   {through(nil, props{"password": "no"}), "proxy: after 1 failed attempts: ssh: handshake", "Dial proxy 1/1"},
		"bastion's key":     {through(nil, props{"hostKey": other}), "ssh: host key mismatch", "Dial proxy 1/1"},
		"host unreachable":  {through(props{"port": closedPort(t)}, nil), "proxy: after 1 failed attempts: ssh: rejected", "Dial from proxy 1/1"},
		"host's key":        {through(props{"hostKey": other, "dialErrorLimit": 0}, nil), "ssh: host key mismatch", ""},
		"host refuses":      {through(props{"password": "no"}, nil), "proxy: after 1 failed attempts: ssh: handshake", "Dial 1/1"},
		"bastion's own key": {through(nil, props{"privateKey": "rubbish"}), "proxy: ssh: no key found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e.log.reset()
			_, err := e.create(remoteCommand, props{"connection": c.connection, "create": "true"})
			fails(t, err, c.want)
			if c.log != "" {
				equal(t, c.log, len(e.log.matching(c.log+" failed: retrying")), 1)
			}
		})
	}
}

// A habit: the SSH connection outlives the command (sessions are closed, connections last as long as the plugin).
func TestConnectionStaysOpen(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	for range 3 {
		e.mustCreate(remoteCommand, props{"connection": to(host), "create": "true"})
	}
	equal(t, "connections made", host.Count("connect"), 3)
	equal(t, "still open", host.Open(), 3)
}

func TestDeleteOnDeadHost(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	with_ := e.mustCreate(remoteCommand, props{"connection": to(host), "create": "true", "delete": "true"})
	without := e.mustCreate(remoteCommand, props{"connection": to(host), "create": "true"})
	host.Stop()
	fails(t, with_.delete(), "after 1 failed attempts: dial tcp", "connection refused")
	if err := without.delete(); err != nil {
		t.Errorf("without a delete command nothing is dialled, got %v", err)
	}
}

func TestRefreshDialsNobody(t *testing.T) {
	e := newEngine(t)
	host := sshtest.Start(t, sshtest.Options{})
	created := e.mustCreate(remoteCommand, props{"connection": to(host), "create": "echo x"})
	host.Stop()
	response, err := e.server.Read(p.ReadRequest{
		ID: created.id, Urn: urn(remoteCommand), Properties: created.state, Inputs: created.inputs,
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "id", response.ID, created.id)
	equal(t, "stdout", response.Properties.Get("stdout").AsString(), "x")
}
