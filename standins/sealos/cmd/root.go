// Package cmd is the command line of sealos v3.3.9-rc.11 as docs/reference/sealos.md has it.
package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/cluster"
	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
)

// Version is the release that this program stands in for, with a mark that it does.
const Version = "3.3.9-standin"

// program is one run: what the global flags say and where it keeps things.
type program struct {
	home       string
	configFile string // --config
	infoOnly   bool   // --info
}

// Execute runs the command line of the process and returns its exit status.
func Execute() int {
	root := newRoot()
	if filepath.Base(os.Args[0]) == "lvscare" {
		root = &cobra.Command{Use: "lvscare", SilenceUsage: true}
		root.AddCommand(ipvsCommand("care"))
	}
	err := root.Execute()
	var ending *cluster.Exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ending):
		if ending.Text != "" {
			console.Error("%s", ending.Text)
		}
		return ending.Status
	default: // cobra's: unknown command or flag
		fmt.Println("Error:", err)
		return 1
	}
}

func newRoot() *cobra.Command {
	p := &program{}
	root := &cobra.Command{
		Use:   "sealos",
		Short: "stand-in for sealos v3.3.9: Kubernetes on machines reached by SSH",
		Long: "A stand-in for sealos v3.3.9 that belongs to the lab of sealos-istio. It keeps the real program's contract,\n" +
			"bad habits included; it is not sealos, and not for clusters that matter.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			home, err := os.UserHomeDir()
			if err != nil {
				return &cluster.Exit{Status: 1, Text: err.Error()}
			}
			p.home = home
			console.Open(filepath.Join(config.Folder(home), "sealos.log"), p.infoOnly)
			return nil
		},
	}
	root.PersistentFlags().StringVar(&p.configFile, "config", "", "config file (default $HOME/.sealos/config.yaml)")
	root.PersistentFlags().BoolVar(&p.infoOnly, "info", false, "show no details on the console")
	root.AddCommand(
		p.initCommand(), p.joinCommand(), p.cleanCommand(), p.execCommand(), configCommand(), certCommand(), routeCommand(), ipvsCommand("ipvs"),
		etcdCommand(), upgradeCommand(), cniCommand(), versionCommand(), disabledCommand("delete"), disabledCommand("install"), disabledCommand("cloud"),
	)
	return root
}

func (p *program) path() string { return config.Path(p.home, p.configFile) }

func (p *program) save(c *config.Config) {
	if err := c.Save(p.home, p.path()); err != nil {
		console.Warn("write to file %s failed: %s", p.path(), err)
	}
}

func (p *program) newCluster(c *config.Config) (*cluster.Cluster, error) {
	plan, err := faults.Load(p.home)
	if err != nil {
		return nil, exit(1, "%s", err)
	}
	return cluster.New(c, p.home, plan), nil
}

func exit(status int, format string, args ...any) error {
	return &cluster.Exit{Status: status, Text: fmt.Sprintf(format, args...)}
}

// helped prints the reason and the command's help, then ends with status.
func helped(command *cobra.Command, status int, reason string) error {
	console.Error("%s", reason)
	_ = command.Help()
	return &cluster.Exit{Status: status}
}
