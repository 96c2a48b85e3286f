// Package sshtest plays machines for tests: an SSH server with SFTP on each of 127.0.0.2, 127.0.0.3, …, which records
// what it is asked, answers like a host with kubeadm, and fails where a test wants it to. No command is really run.
package sshtest

import (
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Password is what every host accepts for root.
const Password = "pass-Word 42"

// What the played kubeadm hands out.
const (
	Token          = "abcdef.0123456789abcdef"
	CACertHash     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	CertificateKey = "2222222222222222222222222222222222222222222222222222222222222222"
)

// Operation is a command or, as "put PATH", a file that arrived by SFTP.
type Operation struct {
	Host       string // IP:PORT
	Text       string
	Pty        bool
	Connection int
}

// Reply is what a host answers to a command; a Status below 0 hangs up without one.
type Reply struct {
	Output string
	Status int
}

// Network is a set of hosts with one port, and the order in which they were asked.
type Network struct {
	Hosts []*Host

	mu          sync.Mutex
	operations  []Operation
	connections int
	rules       []rule
	keys        []ssh.PublicKey
	watch       func(Operation)
}

type rule struct {
	host  *Host
	match *regexp.Regexp
	reply Reply
}

// Host is one played machine.
type Host struct {
	Address string // IP:PORT
	Name    string // hostname

	network  *Network
	listener net.Listener
	mu       sync.Mutex
	files    map[string][]byte
	badMD5   []string
}

// Start plays count machines named sealos01, sealos02, … until the test ends.
func Start(t *testing.T, count int) *Network {
	t.Helper()
	n := &Network{}
	listeners, err := listen(count)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for i, listener := range listeners {
		h := &Host{Address: listener.Addr().String(), Name: fmt.Sprintf("sealos%02d", i+1), network: n, listener: listener, files: map[string][]byte{}}
		n.Hosts = append(n.Hosts, h)
		config := n.serverConfig()
		config.AddHostKey(signer)
		go h.serve(config)
		t.Cleanup(h.Stop)
	}
	return n
}

// listen finds a port that is free on all the addresses.
func listen(count int) ([]net.Listener, error) {
	var problem error
	for range 20 {
		var taken []net.Listener
		port := "0"
		for i := range count {
			listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.%d:%s", i+2, port))
			if err != nil {
				problem = err
				break
			}
			taken = append(taken, listener)
			_, port, _ = net.SplitHostPort(listener.Addr().String())
		}
		if len(taken) == count {
			return taken, nil
		}
		for _, listener := range taken {
			_ = listener.Close()
		}
	}
	return nil, problem
}

func (n *Network) serverConfig() *ssh.ServerConfig {
	refused := errors.New("refused")
	return &ssh.ServerConfig{
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != Password {
				return nil, refused
			}
			return &ssh.Permissions{Extensions: map[string]string{"by": "password"}}, nil
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, allowed := range n.keys {
				if string(allowed.Marshal()) == string(key.Marshal()) {
					return &ssh.Permissions{Extensions: map[string]string{"by": "key"}}, nil
				}
			}
			return nil, refused
		},
	}
}

// Allow lets a public key in on every host.
func (n *Network) Allow(key ssh.PublicKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = append(n.keys, key)
}

// On makes host (nil: any) answer reply to commands that match pattern; the last rule that fits counts.
func (n *Network) On(host *Host, pattern string, reply Reply) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append([]rule{{host, regexp.MustCompile(pattern), reply}}, n.rules...)
}

// Watch calls see before each operation is answered.
func (n *Network) Watch(see func(Operation)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = see
}

// Forget drops the rules and what was recorded.
func (n *Network) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules, n.operations = nil, nil
}

// Operations are all operations so far, in order.
func (n *Network) Operations() []Operation {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.operations)
}

// Texts are host's operations; nil means all hosts'.
func (n *Network) Texts(host *Host) []string {
	var texts []string
	for _, o := range n.Operations() {
		if host == nil || o.Host == host.Address {
			texts = append(texts, o.Text)
		}
	}
	return texts
}

// Addresses are those of all hosts.
func (n *Network) Addresses() []string {
	var addresses []string
	for _, h := range n.Hosts {
		addresses = append(addresses, h.Address)
	}
	return addresses
}

func (n *Network) record(o Operation) {
	n.mu.Lock()
	n.operations = append(n.operations, o)
	watch := n.watch
	n.mu.Unlock()
	if watch != nil {
		watch(o)
	}
}

// IP is the host's address without its port.
func (h *Host) IP() string { ip, _, _ := strings.Cut(h.Address, ":"); return ip }

// Stop makes the host unreachable.
func (h *Host) Stop() { _ = h.listener.Close() }

// BreakMD5 makes md5sum lie about file from now on.
func (h *Host) BreakMD5(file string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.badMD5 = append(h.badMD5, file)
}

// File is the content of a file that was sent or placed; nil when there is none.
func (h *Host) File(name string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files[name]
}

// Place puts a file on the host.
func (h *Host) Place(name string, content []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[name] = content
}

var (
	lsCommand  = regexp.MustCompile(`^ls -l (\S+) 2>/dev/null \|wc -l$`)
	md5Command = regexp.MustCompile(`^md5sum (\S+) \| cut`)
	rmCommand  = regexp.MustCompile(`^rm -rf (\S+)$`)
)

const joinWords = "kubeadm join apiserver.cluster.local:6443 --token " + Token + " \\\n    --discovery-token-ca-cert-hash " + CACertHash

const initWords = "[init] Using Kubernetes version: v1.16.3\nYour Kubernetes control-plane has initialized successfully!\n\n  " + joinWords +
	" \\\n    --control-plane --certificate-key " + CertificateKey + "\n\nPlease note that the certificate-key gives access to cluster sensitive data\n\n" + joinWords + "\n"

// answer is the reply to command: a rule's, or the one of a healthy host.
func (h *Host) answer(command string) Reply {
	h.network.mu.Lock()
	for _, r := range h.network.rules {
		if (r.host == nil || r.host == h) && r.match.MatchString(command) {
			h.network.mu.Unlock()
			return r.reply
		}
	}
	h.network.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case command == "hostname":
		return Reply{Output: h.Name + "\n"}
	case strings.HasPrefix(command, "kubeadm init --config"):
		return Reply{Output: initWords}
	case strings.HasPrefix(command, "kubeadm init phase upload-certs"):
		return Reply{Output: "[upload-certs] Storing the certificates\n[upload-certs] Using certificate key:\n" + CertificateKey + "\n"}
	case strings.HasPrefix(command, "kubeadm token create"):
		return Reply{Output: strings.ReplaceAll(joinWords, "\\\n", "") + " \n"}
	case strings.HasPrefix(command, "sealos route --host"):
		return Reply{Output: "ok\n"}
	case strings.HasPrefix(command, "kubectl get nodes"):
		var names []string
		for _, other := range h.network.Hosts {
			names = append(names, other.Name)
		}
		return Reply{Output: strings.Join(names, "\n") + "\n"}
	case strings.HasPrefix(command, "cat /root/kube/Metadata"):
		return Reply{Output: string(h.files["/root/kube/Metadata"])}
	}
	if found := lsCommand.FindStringSubmatch(command); found != nil {
		if h.files[found[1]] == nil {
			return Reply{Output: "0\n"}
		}
		return Reply{Output: "1\n"}
	}
	if found := md5Command.FindStringSubmatch(command); found != nil {
		sum := md5.Sum(h.files[found[1]])
		if slices.Contains(h.badMD5, found[1]) {
			sum = md5.Sum(nil)
		}
		return Reply{Output: hex.EncodeToString(sum[:]) + "\n"}
	}
	if found := rmCommand.FindStringSubmatch(command); found != nil {
		delete(h.files, path.Clean(found[1]))
	}
	return Reply{}
}
