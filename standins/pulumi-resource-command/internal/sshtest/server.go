// Package sshtest is a small SSH server on loopback, for tests: it really runs commands, serves SFTP and forwards
// connections, and counts what clients do.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// User and Password log in to every Server.
const (
	User     = "root"
	Password = "test-password"
)

// Key is a fresh key pair.
type Key struct {
	Signer  ssh.Signer
	Private ed25519.PrivateKey
}

// NewKey makes an ed25519 key.
func NewKey(t testing.TB) Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return Key{signer, private}
}

// PEM is the private key in OpenSSH's format, under a passphrase unless that is empty.
func (k Key) PEM(t testing.TB, passphrase string) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(k.Private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(k.Private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// Line is the public key as in authorized_keys.
func (k Key) Line() string { return string(ssh.MarshalAuthorizedKey(k.Signer.PublicKey())) }

// Options of a Server.
type Options struct {
	Authorized []ssh.PublicKey // keys that log in
	AcceptEnv  []string        // variables that the server accepts
	NoPassword bool            // password log-in by keyboard-interactive only
}

// Server is one host.
type Server struct {
	Port    int
	HostKey Key

	options  Options
	listener net.Listener
	mu       sync.Mutex
	counts   map[string]int
	open     map[net.Conn]bool
}

// Start runs a server on 127.0.0.1 until the test ends.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Port: listener.Addr().(*net.TCPAddr).Port, HostKey: NewKey(t), options: options, listener: listener,
		counts: map[string]int{}, open: map[net.Conn]bool{},
	}
	go s.accept()
	t.Cleanup(s.Stop)
	return s
}

// Stop closes the port and every connection.
func (s *Server) Stop() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for connection := range s.open {
		connection.Close()
	}
}

// Count tells how often something happened: connect, auth (attempts with a method), exec, env (requests), forward.
func (s *Server) Count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

// Open is the number of connections that are open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *Server) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

func (s *Server) accept() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.add("connect")
		s.mu.Lock()
		s.open[connection] = true
		s.mu.Unlock()
		go func() {
			s.serve(connection)
			s.mu.Lock()
			delete(s.open, connection)
			s.mu.Unlock()
		}()
	}
}

func (s *Server) serve(connection net.Conn) {
	defer connection.Close()
	wrong := errors.New("not allowed")
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, known := range s.options.Authorized {
				if string(known.Marshal()) == string(key.Marshal()) {
					return nil, nil
				}
			}
			return nil, wrong
		},
		KeyboardInteractiveCallback: func(
			_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge,
		) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password:"}, []bool{false})
			if err == nil && len(answers) == 1 && answers[0] == Password {
				return nil, nil
			}
			return nil, wrong
		},
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, _ error) { s.add("auth " + method) },
	}
	if !s.options.NoPassword {
		config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) == Password {
				return nil, nil
			}
			return nil, wrong
		}
	}
	config.AddHostKey(s.HostKey.Signer)
	client, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	defer client.Close()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		switch channel.ChannelType() {
		case "session":
			go s.session(channel)
		case "direct-tcpip":
			go s.forward(channel)
		default:
			channel.Reject(ssh.UnknownChannelType, "")
		}
	}
}

func (s *Server) forward(request ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(request.ExtraData(), &to); err != nil {
		request.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	s.add("forward")
	target, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		request.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := request.Accept()
	if err != nil {
		target.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	go func() { io.Copy(target, channel); target.Close() }()
	io.Copy(channel, target)
	channel.Close()
}

func (s *Server) session(request ssh.NewChannel) {
	channel, requests, err := request.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	env := []string{"PATH=/usr/bin:/bin"}
	for r := range requests {
		switch r.Type {
		case "env":
			var v struct{ Name, Value string }
			ssh.Unmarshal(r.Payload, &v)
			s.add("env")
			ok := slices.Contains(s.options.AcceptEnv, v.Name)
			if ok {
				env = append(env, v.Name+"="+v.Value)
			}
			r.Reply(ok, nil)
		case "exec":
			var v struct{ Command string }
			ssh.Unmarshal(r.Payload, &v)
			s.add("exec")
			r.Reply(true, nil)
			run(channel, v.Command, env)
			return
		case "subsystem":
			ok := strings.HasSuffix(string(r.Payload), "sftp")
			r.Reply(ok, nil)
			if ok {
				if server, err := sftp.NewServer(channel); err == nil {
					server.Serve()
				}
			}
			return
		default:
			r.Reply(false, nil)
		}
	}
}

// run is not tied to the connection: as with a real sshd, a command survives its client.
func run(channel ssh.Channel, command string, env []string) {
	process := exec.Command("/bin/sh", "-c", command)
	process.Env, process.Stdout, process.Stderr = env, channel, channel.Stderr()
	// A pipe of our own: with process.Stdin, Wait would wait for the client to close its side.
	stdin, err := process.StdinPipe()
	if err != nil {
		return
	}
	go func() { io.Copy(stdin, channel); stdin.Close() }()
	if err := process.Run(); process.ProcessState == nil {
		fmt.Fprintln(channel.Stderr(), err)
		return
	}
	status, ok := process.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		name := map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM"}[status.Signal()]
		channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal string
			Core   bool
			Error  string
			Lang   string
		}{Signal: name}))
		return
	}
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(process.ProcessState.ExitCode())}))
}
