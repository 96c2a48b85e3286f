package cmd

import (
	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/cluster"
	"sealos-istio/standins/sealos/internal/config"
)

func (p *program) cleanCommand() *cobra.Command {
	var selected cluster.Selection
	var verbose int
	command := &cobra.Command{
		Use: "clean", Short: "Reset hosts, members or not, and take them out of config.yaml", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.runClean(selected, verbose) },
	}
	command.Flags().StringSliceVar(&selected.Masters, "master", nil, "masters: IP, IP:PORT, A-B, A-B:PORT")
	command.Flags().StringSliceVar(&selected.Nodes, "node", nil, "nodes: IP, IP:PORT, A-B, A-B:PORT")
	command.Flags().BoolVar(&selected.All, "all", false, "every host of config.yaml")
	command.Flags().BoolVarP(&selected.Force, "force", "f", false, "don't ask")
	command.Flags().IntVar(&verbose, "vlog", 0, "kubeadm's log level")
	return command
}

func (p *program) runClean(selected cluster.Selection, verbose int) error {
	c, err := config.Load(p.path())
	if err != nil {
		return exit(255, "%s", err)
	}
	if selected.Masters, err = address.Expand(selected.Masters); err != nil {
		return exit(1, "--master: %s", err)
	}
	if selected.Nodes, err = address.Expand(selected.Nodes); err != nil {
		return exit(1, "--node: %s", err)
	}
	run, err := p.newCluster(c)
	if err != nil {
		return err
	}
	run.Verbose = verbose
	if err := run.Clean(selected); err != nil {
		return err
	}
	p.save(c) // after --all too: the folder is made again for it, and the password is in it
	return nil
}
