package cmd

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/cluster"
	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/manifests"
)

const banner = `
     ___  ___  __ _ | | ___  ___
    / __|/ _ \/ _' || |/ _ \/ __|     the lab's stand-in for v3.3.9
    \__ \  __/ (_| || | (_) \__ \
    |___/\___|\__,_||_|\___/|___/
`

// initFlags are init's own values; the rest goes straight into the config.
type initFlags struct {
	options  cluster.Options
	verbose  int
	fromFile bool // everything is read from the file of --config
}

func (p *program) initCommand() *cobra.Command {
	c, f := &config.Config{}, &initFlags{}
	command := &cobra.Command{
		Use: "init", Short: "Make a Kubernetes cluster of the given hosts", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return p.runInit(command, c, f) },
	}
	flags := command.Flags()
	flags.StringSliceVar(&c.Masters, "master", nil, "masters: IP, IP:PORT, A-B, A-B:PORT")
	flags.StringSliceVar(&c.Nodes, "node", nil, "nodes: IP, IP:PORT, A-B, A-B:PORT")
	flags.StringVar(&c.User, "user", "root", "user of the hosts")
	flags.StringVar(&c.Passwd, "passwd", "", "password of the user")
	flags.StringVar(&c.PrivateKey, "pk", "", "private key of the user (default $HOME/.ssh/id_rsa)")
	flags.StringVar(&c.PkPassword, "pk-passwd", "", "passphrase of the private key")
	flags.StringVar(&c.Version, "version", "", "Kubernetes version, for example v1.16.3")
	flags.StringVar(&c.PkgURL, "pkg-url", "", "offline package: a file or an http address")
	flags.StringVar(&f.options.KubeadmConfig, "kubeadm-config", "", "template of kubeadm-config.yaml")
	flags.StringVar(&c.APIServerDomain, "apiserver", "apiserver.cluster.local", "name of the API server")
	flags.StringVar(&c.VIP, "vip", "10.103.97.2", "virtual address of the masters")
	flags.StringVar(&c.PodCIDR, "podcidr", "100.64.0.0/10", "addresses of pods")
	flags.StringVar(&c.SvcCIDR, "svccidr", "10.96.0.0/12", "addresses of Services")
	flags.StringVar(&f.options.Interface, "interface", "eth.*|en.*|em.*", "network interface, or an IPv4 address that must be reachable")
	flags.StringVar(&c.Network, "network", "calico", "CNI plugin (the stand-in has calico only)")
	flags.BoolVar(&f.options.BGP, "bgp", false, "BGP instead of IP-in-IP")
	flags.StringVar(&f.options.MTU, "mtu", "1440", "MTU of the pod network")
	flags.BoolVar(&f.options.WithoutCNI, "without-cni", false, "install no CNI plugin")
	flags.StringVar(&c.Repo, "repo", "k8s.gcr.io", "registry of Kubernetes' images")
	flags.StringSliceVar(&f.options.CertSANs, "cert-sans", nil, "further names and addresses of the API server")
	flags.StringVar(&c.LvscareName, "lvscare-image", "fanux/lvscare", "image of lvscare")
	flags.StringVar(&c.LvscareTag, "lvscare-tag", "latest", "tag of lvscare's image")
	flags.IntVar(&f.verbose, "vlog", 0, "kubeadm's log level")
	command.AddCommand(&cobra.Command{
		Use: "gen", Short: "Show a sample config.yaml", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return showSample() },
	})
	return command
}

func showSample() error {
	text, err := config.Sample().Text()
	if err != nil {
		return exit(1, "%s", err)
	}
	console.Info("\n\n%s\n\n", text)
	console.Info("Please save above config in ~/.sealos/config.yaml and edit values on your own")
	return nil
}

func (p *program) runInit(command *cobra.Command, c *config.Config, f *initFlags) error {
	if err := p.settleInit(command, c, f); err != nil {
		return err
	}
	if !f.fromFile {
		p.save(c) // early: no names of the API server yet, the password already
	}
	run, err := p.newCluster(c)
	if err != nil {
		return err
	}
	run.Options, run.Verbose = f.options, f.verbose
	if err := faults.CountInit(p.home); err != nil {
		return exit(1, "%s", err)
	}
	if err := run.Init(); err != nil {
		return err
	}
	p.save(c)
	fmt.Print(banner)
	return nil
}

// settleInit makes the config complete: from the file when --config is given without --master, else from the flags.
func (p *program) settleInit(command *cobra.Command, c *config.Config, f *initFlags) error {
	f.fromFile = p.configFile != "" && len(c.Masters) == 0
	if f.fromFile {
		loaded, err := config.Load(p.configFile)
		if err != nil {
			return exit(1, "load cfgFile %s err: %s", p.configFile, err)
		}
		*c = *loaded
		if c.CertPath == "" || c.CertEtcdPath == "" {
			return exit(1, "%s: certpath and certetcdpath must be given (sealos would write the certificates into the working directory)", p.configFile)
		}
	} else {
		if c.PrivateKey == "" {
			c.PrivateKey = filepath.Join(p.home, ".ssh", "id_rsa")
		}
		c.CertPath = filepath.Join(config.Folder(p.home), "pki")
		c.CertEtcdPath = filepath.Join(c.CertPath, "etcd")
	}
	if len(c.Masters) == 0 {
		return helped(command, 255, "your master is empty.")
	}
	if c.Version == "" {
		return helped(command, 255, "your kubernetes version is empty.")
	}
	if err := cluster.FetchPackage(c); err != nil {
		return helped(command, 255, err.Error())
	}
	if _, err := manifests.Minor(c.Version); err != nil {
		return exit(1, "%s", err)
	}
	var err error
	if c.Masters, err = address.Expand(c.Masters); err != nil {
		return exit(1, "--master: %s", err)
	}
	if c.Nodes, err = address.Expand(c.Nodes); err != nil {
		return exit(1, "--node: %s", err)
	}
	return nil
}
