// Package faults lets a test break the stand-in at a chosen step, and counts its `init` runs. The real sealos has none of this.
package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sealos-istio/standins/sealos/internal/address"
)

// Step names one kind of remote operation; a fault is aimed at it.
type Step string

// The steps, in the order of an init, then join's and clean's own. Each is one operation on a host (hosts-file: two on
// further masters); the small ones around it are None and can't be struck.
const (
	None          Step = ""
	Check         Step = "check" // the first login
	SendSealos    Step = "send-sealos"
	SendPackage   Step = "send-package"
	InitSh        Step = "init-sh"
	KubeadmConfig Step = "kubeadm-config"
	SendConfs     Step = "send-confs"
	SendPki       Step = "send-pki"
	HostsFile     Step = "hosts-file"
	KubeadmInit   Step = "kubeadm-init"
	Kubeconfig    Step = "kubeconfig"
	CNI           Step = "cni" // kubectl apply
	JoinConfig    Step = "join-config"
	Cert          Step = "cert"
	Route         Step = "route"
	Ipvs          Step = "ipvs"
	JoinMaster    Step = "kubeadm-join-master"
	JoinNode      Step = "kubeadm-join-node"
	Lvscare       Step = "lvscare"
	RemovePackage Step = "remove-package"
	UploadCerts   Step = "upload-certs"
	TokenCreate   Step = "token-create"
	KubeadmReset  Step = "kubeadm-reset"
	CleanFiles    Step = "clean-files"
	DeleteNode    Step = "delete-node"
	Exec          Step = "exec"
)

var steps = []Step{
	Check, SendSealos, SendPackage, InitSh, KubeadmConfig, SendConfs, SendPki, HostsFile, KubeadmInit, Kubeconfig, CNI, JoinConfig, Cert,
	Route, Ipvs, JoinMaster, JoinNode, Lvscare, RemovePackage, UploadCerts, TokenCreate, KubeadmReset, CleanFiles, DeleteNode, Exec,
}

// Action is what a fault does to its step.
type Action string

const (
	Fail      Action = "fail"       // the operation is not done and counts as failed
	FailAfter Action = "fail-after" // it is done and counts as failed
	Hang      Action = "hang"       // it waits Seconds first
	Kill      Action = "kill"       // sealos kills itself (SIGKILL) instead of doing it
	KillAfter Action = "kill-after" // sealos kills itself once it is done
)

var actions = []Action{Fail, FailAfter, Hang, Kill, KillAfter}

// Fault is one entry of the faults file. Host is an IP, empty for any host. Times is how often it strikes (0: always);
// the stand-in counts it down in the file.
type Fault struct {
	Step    Step    `json:"step"`
	Host    string  `json:"host,omitempty"`
	Action  Action  `json:"action"`
	Times   int     `json:"times,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Message string  `json:"message,omitempty"`
	spent   bool
}

type document struct {
	Faults []*Fault `json:"faults"`
}

// Plan is the faults file of a run.
type Plan struct {
	mu     sync.Mutex
	path   string
	faults []*Fault
}

// Load reads the file named by LAB_SEALOS_FAULTS, else .sealos-standin-faults.json in home; a missing one is an empty plan.
func Load(home string) (*Plan, error) {
	path := os.Getenv("LAB_SEALOS_FAULTS")
	if path == "" {
		path = filepath.Join(home, ".sealos-standin-faults.json")
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Plan{}, nil
	}
	if err != nil {
		return nil, err
	}
	var read document
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return nil, fmt.Errorf("faults file %s: %w", path, err)
	}
	for _, f := range read.Faults {
		if !slices.Contains(steps, f.Step) {
			return nil, fmt.Errorf("faults file %s: no step %q; there are %v", path, f.Step, steps)
		}
		if !slices.Contains(actions, f.Action) {
			return nil, fmt.Errorf("faults file %s: no action %q; there are %v", path, f.Action, actions)
		}
	}
	return &Plan{path: path, faults: read.Faults}, nil
}

// Strike runs operation on host (IP:PORT) as the plan has it for this step: undisturbed when no fault is aimed at it.
func (p *Plan) Strike(step Step, host string, operation func() error) error {
	if step == None {
		return operation()
	}
	fault := p.next(step, address.IP(host))
	if fault == nil {
		return operation()
	}
	injected := fmt.Errorf("injected fault at %s: %s", step, fault.Message)
	switch fault.Action {
	case Fail:
		return injected
	case Hang:
		time.Sleep(time.Duration(fault.Seconds * float64(time.Second)))
		return operation()
	case Kill:
		kill()
	}
	err := operation()
	if fault.Action == KillAfter {
		kill()
	}
	return errors.Join(err, injected)
}

func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}

func (p *Plan) next(step Step, ip string) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.spent || f.Step != step || (f.Host != "" && f.Host != ip) {
			continue
		}
		if f.Times > 0 {
			f.Times--
			f.spent = f.Times == 0
			p.save()
		}
		return f
	}
	return nil
}

// save keeps the faults that can still strike; a file that can't be written is told by the next run doing it again.
func (p *Plan) save() {
	left := document{Faults: []*Fault{}}
	for _, f := range p.faults {
		if !f.spent {
			left.Faults = append(left.Faults, f)
		}
	}
	if data, err := json.MarshalIndent(left, "", "  "); err == nil {
		_ = os.WriteFile(p.path, append(data, '\n'), 0o600)
	}
}

// CountInit adds one to the number in .sealos-standin-count of home: how often `init` passed its argument checks.
func CountInit(home string) error {
	path := filepath.Join(home, ".sealos-standin-count")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	count := 0
	if text := strings.TrimSpace(string(data)); text != "" {
		if count, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("%s does not hold a number: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(strconv.Itoa(count+1)+"\n"), 0o600)
}
