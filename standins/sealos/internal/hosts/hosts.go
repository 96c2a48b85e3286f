// Package hosts reaches the machines as sealos v3 does: a new SSH connection for each command, with a terminal, the
// host's key never checked, no limit on a command, no second try.
package hosts

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
)

// Login is how every host is logged in to: the key first when its file exists, then the password.
type Login struct {
	User, Password, KeyFile, KeyPassphrase string
}

// Fleet runs commands on hosts (IP:PORT).
type Fleet struct {
	login  Login
	faults *faults.Plan
	mu     sync.Mutex
	open   []*ssh.Client
}

// New returns a Fleet that logs in with login and is disturbed by plan.
func New(login Login, plan *faults.Plan) *Fleet { return &Fleet{login: login, faults: plan} }

// An unreadable key is skipped in silence, a missing one is no error: the password may still do.
func (l Login) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if data, err := os.ReadFile(l.KeyFile); err == nil {
		var signer ssh.Signer
		if l.KeyPassphrase == "" {
			signer, err = ssh.ParsePrivateKey(data)
		} else {
			signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(l.KeyPassphrase))
		}
		if err == nil {
			methods = append(methods, ssh.PublicKeys(signer))
		}
	}
	if l.Password != "" {
		methods = append(methods, ssh.Password(l.Password))
	}
	return methods
}

// dial opens a connection that stays open until the program ends, as the real one's do.
func (f *Fleet) dial(host string) (*ssh.Client, error) {
	client, err := ssh.Dial("tcp", host, &ssh.ClientConfig{
		User: f.login.User, Auth: f.login.methods(), Timeout: time.Minute,
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil },
	})
	if err != nil {
		console.Error("[ssh][%s]Error create ssh session failed,%s", host, err)
		return nil, &unreachable{err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, client)
	return client, nil
}

// session opens a connection of its own with a terminal on it.
func (f *Fleet) session(host string) (*ssh.Session, error) {
	client, err := f.dial(host)
	if err != nil {
		return nil, err
	}
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.TTY_OP_ISPEED: 14400, ssh.TTY_OP_OSPEED: 14400}
	return s, s.RequestPty("xterm", 80, 40, modes)
}

// Check logs in to host and out again.
func (f *Fleet) Check(host string) error {
	return f.Strike(faults.Check, host, func() error {
		s, err := f.session(host)
		if err != nil {
			return err
		}
		return ignoreEOF(s.Close())
	})
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Run runs command on host and returns all that it printed (the terminal's CRLF line ends included); the error says
// that the host could not be reached or that the status was not 0. What it printed is one entry of the log: its lines
// after the first stand there raw.
func (f *Fleet) Run(step faults.Step, host, command string) (string, error) {
	var output []byte
	err := f.Strike(step, host, func() error {
		console.Info("[ssh][%s] %s", host, command)
		s, err := f.session(host)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		output, err = s.CombinedOutput(command)
		console.Debug("[ssh][%s]command result is: %s", host, output)
		return err
	})
	if err != nil && !errors.As(err, new(*unreachable)) {
		console.Error("[ssh][%s]Error exec command failed: %s", host, err)
	}
	return string(output), err
}

// Follow runs command on host and logs each line that it prints. As with the real one, nobody is told when it fails.
func (f *Fleet) Follow(step faults.Step, host, command string) {
	err := f.Strike(step, host, func() error {
		console.Debug("[%s] %s", host, command)
		s, err := f.session(host)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		output, err := s.StdoutPipe() // with a terminal, errors too
		if err != nil {
			return err
		}
		if err := s.Start(command); err != nil {
			return err
		}
		for lines := bufio.NewScanner(output); lines.Scan(); {
			console.Info("[ssh][%s] %s", host, lines.Text())
		}
		return s.Wait()
	})
	if err != nil && !errors.As(err, new(*ssh.ExitError)) && !errors.As(err, new(*unreachable)) {
		console.Info("[ssh][%s] error: %s", host, err) // a fault's words stand for what the command would have printed
	}
}

// unreachable is the error of a connection that could not be made, which the log has already.
type unreachable struct{ error }

// Strike does operation as the faults have it for step on host.
func (f *Fleet) Strike(step faults.Step, host string, operation func() error) error {
	return f.faults.Strike(step, host, operation)
}

// Word runs command and returns what it printed as one line, whatever its status; empty when host could not be reached.
func (f *Fleet) Word(step faults.Step, host, command string) string {
	output, _ := f.Run(step, host, command)
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(output))
}

// Try runs command and goes on whatever happened: most of sealos v3's commands are of this kind.
func (f *Fleet) Try(step faults.Step, host, command string) { _, _ = f.Run(step, host, command) }

// Each calls work for every host at the same time and waits for all.
func Each(hosts []string, work func(host string)) {
	var group sync.WaitGroup
	for _, host := range hosts {
		group.Go(func() { work(host) })
	}
	group.Wait()
}
