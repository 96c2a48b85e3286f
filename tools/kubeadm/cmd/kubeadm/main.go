// Command kubeadm stands for kubeadm in the offline package of the sealos-istio lab. sealos v3, the real one or
// the stand-in, drives it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"sealos-istio/tools/kubeadm/internal/kubeadm"
	"sealos-istio/tools/kubeadm/internal/lab"
)

const usage = `kubeadm: stand-in of the sealos-istio lab for kubeadm. It starts the real etcd and control plane.

  kubeadm init --config=FILE [--upload-certs] [--ignore-preflight-errors=NAME,…]
  kubeadm init phase upload-certs --upload-certs
  kubeadm join --config=FILE [--ignore-preflight-errors=NAME,…]
  kubeadm token create [--print-join-command]
  kubeadm reset [-f]
  kubeadm version [-o short]

All take -v LEVEL, which changes nothing.
`

func main() {
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	if !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

type flags struct {
	*flag.FlagSet
	config, ignored, output string
	upload, force, print    bool
}

func newFlags(name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.Usage = func() { fmt.Fprint(f.Output(), usage) }
	f.Int("v", 0, "")
	f.Int("vlog", 0, "")
	f.StringVar(&f.config, "config", "", "")
	f.StringVar(&f.ignored, "ignore-preflight-errors", "", "")
	f.StringVar(&f.output, "o", "", "")
	f.StringVar(&f.output, "output", "", "")
	f.BoolVar(&f.upload, "upload-certs", false, "")
	f.BoolVar(&f.force, "f", false, "")
	f.BoolVar(&f.force, "force", false, "")
	f.BoolVar(&f.print, "print-join-command", false, "")
	f.String("skip-phases", "", "")
	return f
}

func (f *flags) ignoredNames() []string {
	if f.ignored == "" {
		return nil
	}
	return strings.Split(f.ignored, ",")
}

func run(arguments []string) error {
	command := ""
	for len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		command = strings.TrimSpace(command + " " + arguments[0])
		arguments = arguments[1:]
	}
	f := newFlags(command)
	if err := f.Parse(arguments); err != nil {
		return err
	}
	needsConfig := func() error {
		if f.config == "" {
			return fmt.Errorf("kubeadm %s: --config=FILE is needed; the lab's kubeadm is configured by a file only", command)
		}
		return nil
	}
	switch command {
	case "init":
		if err := needsConfig(); err != nil {
			return err
		}
		config, err := kubeadm.ReadFile(f.config, kubeadm.ParseInit)
		if err != nil {
			return err
		}
		return kubeadm.Init(config, f.upload, f.ignoredNames())
	case "init phase upload-certs":
		_, err := kubeadm.UploadCerts()
		return err
	case "join":
		if err := needsConfig(); err != nil {
			return err
		}
		config, err := kubeadm.ReadFile(f.config, kubeadm.ParseJoin)
		if err != nil {
			return err
		}
		return kubeadm.Join(config, f.ignoredNames())
	case "token create":
		return kubeadm.TokenCreate(f.print)
	case "reset":
		return kubeadm.Reset(f.force)
	case "version":
		if f.output == "short" {
			fmt.Println(lab.KubernetesVersion)
		} else {
			fmt.Printf("kubeadm version: &version.Info{Major:\"1\", Minor:\"%d\", GitVersion:%q, GitCommit:\"stand-in of the sealos-istio lab\"}\n", lab.KubernetesMinor(), lab.KubernetesVersion)
		}
		return nil
	case "":
		fmt.Print(usage)
		return nil
	}
	return fmt.Errorf("unknown command %q for \"kubeadm\"\nRun 'kubeadm --help' for usage", command)
}
