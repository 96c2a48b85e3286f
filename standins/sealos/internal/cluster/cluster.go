// Package cluster holds the steps of init, join and clean, in sealos v3's order and with its indifference: a step that
// fails is told and the next one is taken, except where this package says otherwise.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/hosts"
	"sealos-istio/standins/sealos/internal/manifests"
)

// Exit is an error with the program's exit status; its text has been printed already when it is empty.
type Exit struct {
	Status int
	Text   string
}

func (e *Exit) Error() string { return e.Text }

func exit(status int, format string, args ...any) error {
	return &Exit{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Options are an init's settings that config.yaml does not keep.
type Options struct {
	CertSANs      []string
	KubeadmConfig string // file with a template
	Interface     string // name pattern or IPv4
	MTU           string
	BGP           bool
	WithoutCNI    bool
}

// Cluster is one run against the hosts of a config.
type Cluster struct {
	Config   *config.Config
	Options  Options
	Verbose  int    // kubeadm's -v
	Home     string // holds .sealos
	EtcHosts string // the hosts file of this machine
	fleet    *hosts.Fleet
	join     manifests.Join
}

// New prepares a run as the machine's user with the login of c. LAB_SEALOS_ETC_HOSTS stands for /etc/hosts in tests.
func New(c *config.Config, home string, plan *faults.Plan) *Cluster {
	etcHosts := os.Getenv("LAB_SEALOS_ETC_HOSTS")
	if etcHosts == "" {
		etcHosts = "/etc/hosts"
	}
	return &Cluster{
		Config: c, Home: home, EtcHosts: etcHosts,
		fleet: hosts.New(hosts.Login{User: c.User, Password: c.Passwd, KeyFile: c.PrivateKey, KeyPassphrase: c.PkPassword}, plan),
	}
}

func (c *Cluster) folder() string      { return config.Folder(c.Home) }
func (c *Cluster) packageName() string { return filepath.Base(c.Config.PkgURL) }
func (c *Cluster) minor() int          { n, _ := manifests.Minor(c.Config.Version); return n }
func (c *Cluster) server() string      { return c.Config.APIServerDomain + ":6443" }
func (c *Cluster) lvscareImage() string {
	return c.Config.LvscareName + ":" + c.Config.LvscareTag
}

func (c *Cluster) kubeadm(words string) string {
	return fmt.Sprintf("kubeadm %s -v %d", words, c.Verbose)
}

// check logs in to each host, one after another, and notes its name in its hosts file. An unreachable host, an empty
// name or one that a host of this call has already ends the run with 1.
func (c *Cluster) check(targets []string) error {
	if c.Config.User == "" {
		return exit(1, "user not allow empty")
	}
	unreachable := 0
	owner := map[string]string{}
	for _, host := range targets {
		if err := c.fleet.Check(host); err != nil {
			console.Error("[%s] ------------ check error", host)
			unreachable++
			continue
		}
		name := c.fleet.Word(faults.None, host, "hostname")
		if name == "" {
			return exit(1, "[%s] ------------ the hostname is empty", host)
		}
		if other, taken := owner[name]; taken {
			return exit(1, "duplicate hostnames is not allowed: %s and %s are both %s", other, host, name)
		}
		owner[name] = host
		c.fleet.Try(faults.None, host, fmt.Sprintf("cat /etc/hosts |grep %s || echo '%s %s' >> /etc/hosts", name, address.IP(host), name))
		if c.minor() >= 20 && c.fleet.Word(faults.None, host, "command -v dockerd || true") != "" {
			return exit(255, "[%s] docker is installed; Kubernetes 1.20 and later needs a host without it", host)
		}
		console.Info("[%s]  ------------ check ok", host)
	}
	if unreachable > 0 {
		return exit(1, "has some linux server is connection ssh is failed")
	}
	return nil
}

// sendSealos brings this very program to every host.
func (c *Cluster) sendSealos(targets []string) error {
	self, err := os.Executable()
	if err != nil {
		return exit(1, "find own program: %s", err)
	}
	hosts.Each(targets, func(host string) {
		c.fleet.Try(faults.None, host, "mkdir -p /usr/bin || true")
		c.fleet.Try(faults.None, host, "ps -ef |grep -v 'grep'|grep sealos >/dev/null || rm -rf /usr/bin/sealos")
		c.fleet.Send(faults.SendSealos, host, self, "/usr/bin/sealos")
		c.fleet.Try(faults.None, host, "chmod a+x /usr/bin/sealos")
	})
	return nil
}

// sendPackage brings the package to every host and runs its init.sh; neither is looked at again.
func (c *Cluster) sendPackage(targets []string) {
	name := c.packageName()
	hook := strings.Join([]string{
		"cd /root && rm -rf kube && tar zxvf " + name + " ", "cd /root/kube/shell", "rm -f ../bin/sealos", "bash init.sh", "rm -rf /opt/cni/bin/*",
		"sed -i '/kubectl/d;/sealos/d' /root/.bashrc", "echo 'command -v kubectl &>/dev/null && source <(kubectl completion bash)' >> /root/.bashrc",
		"echo '[ -x /usr/bin/sealos ] && source <(sealos completion bash)' >> /root/.bashrc", "source /root/.bashrc",
	}, " && ")
	hosts.Each(targets, func(host string) {
		c.fleet.Send(faults.SendPackage, host, c.Config.PkgURL, "/root/"+name)
		c.fleet.Follow(faults.InitSh, host, hook)
	})
}

// cgroupDriver asks for the container runtime's, as sealos does: whatever the machine answers, an error too, gets into kubeadm's
// configuration.
func (c *Cluster) cgroupDriver(host string) string {
	command := `driver=$(docker info -f "{{.CgroupDriver}}"); echo "${driver}"`
	if c.minor() >= 20 {
		command = "grep -q 'SystemdCgroup = true' /etc/containerd/config.toml && echo systemd || echo cgroupfs"
	}
	return c.fleet.Word(faults.None, host, command)
}

// writeYAML uses the shell's double quotes as sealos does: $, ` and " in text are the shell's.
func (c *Cluster) writeYAML(step faults.Step, host, text, path string) {
	c.fleet.Try(step, host, fmt.Sprintf("echo \"%s\" > %s", text, path))
}

// FetchPackage downloads an http(s) package to /tmp/sealos (the certificate is not checked, a file that is there
// already is taken as it is) and points the config at it; a local one must exist.
func FetchPackage(c *config.Config) error {
	if !strings.HasPrefix(c.PkgURL, "http://") && !strings.HasPrefix(c.PkgURL, "https://") {
		if _, err := os.Stat(c.PkgURL); err != nil {
			return errors.New("your package file is not exist: " + c.PkgURL)
		}
		return nil
	}
	local := filepath.Join("/tmp/sealos", filepath.Base(c.PkgURL))
	if _, err := os.Stat(local); err != nil {
		if err := os.MkdirAll(filepath.Dir(local), 0o755); err != nil {
			return err
		}
		if output, err := exec.Command("wget", "-q", "--no-check-certificate", "-O", local, c.PkgURL).CombinedOutput(); err != nil {
			return fmt.Errorf("download %s: %w %s", c.PkgURL, err, output)
		}
	}
	c.PkgURL = local
	return nil
}
