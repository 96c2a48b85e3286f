package cmd

import (
	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/console"
)

func (p *program) joinCommand() *cobra.Command {
	var masters, nodes []string
	var verbose int
	command := &cobra.Command{
		Use: "join", Short: "Add masters or nodes to the cluster of config.yaml", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return p.runJoin(command, masters, nodes, verbose) },
	}
	command.Flags().StringSliceVar(&masters, "master", nil, "masters: IP, IP:PORT, A-B, A-B:PORT")
	command.Flags().StringSliceVar(&nodes, "node", nil, "nodes: IP, IP:PORT, A-B, A-B:PORT")
	command.Flags().IntVar(&verbose, "vlog", 0, "kubeadm's log level")
	return command
}

func (p *program) runJoin(command *cobra.Command, masters, nodes []string, verbose int) error {
	if len(masters) == 0 && len(nodes) == 0 {
		return helped(command, 0, "this command is join feature,sealos can not find a master or a node in the arguments.")
	}
	c, err := config.Load(p.path())
	if err != nil {
		console.Error("%s", err)
		return showSample()
	}
	if masters, err = address.Expand(masters); err != nil {
		return exit(1, "--master: %s", err)
	}
	if nodes, err = address.Expand(nodes); err != nil {
		return exit(1, "--node: %s", err)
	}
	run, err := p.newCluster(c)
	if err != nil {
		return err
	}
	run.Verbose = verbose
	if err := run.Join(masters, nodes); err != nil {
		return err
	}
	p.save(c)
	return nil
}
