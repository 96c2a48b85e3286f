package cmd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/config"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/hosts"
)

type execFlags struct {
	command, source, target, label string
	nodes                          []string
}

func (p *program) execCommand() *cobra.Command {
	f := &execFlags{}
	command := &cobra.Command{
		Use: "exec", Short: "Run a command on nodes or copy a file to them", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.runExec(f) },
	}
	command.Flags().StringVar(&f.command, "cmd", "", "command to run")
	command.Flags().StringVar(&f.source, "src", "", "file here")
	command.Flags().StringVar(&f.target, "dst", "", "file there")
	command.Flags().StringVar(&f.label, "label", "", "nodes with this label")
	command.Flags().StringSliceVar(&f.nodes, "node", nil, "nodes by name")
	return command
}

// runExec reaches the nodes at their InternalIP, port 22; what the commands answer is lost, as in the real one.
func (p *program) runExec(f *execFlags) error {
	c, err := config.Load(p.path())
	if err != nil {
		return exit(255, "%s", err)
	}
	targets, err := nodeAddresses(filepath.Join(p.home, ".kube", "config"), f.label, f.nodes)
	if err != nil {
		return exit(255, "%s", err)
	}
	plan, err := faults.Load(p.home)
	if err != nil {
		return exit(1, "%s", err)
	}
	fleet := hosts.New(hosts.Login{User: c.User, Password: c.Passwd, KeyFile: c.PrivateKey, KeyPassphrase: c.PkPassword}, plan)
	hosts.Each(targets, func(host string) {
		if f.source != "" && f.target != "" {
			fleet.Send(faults.Exec, host, f.source, f.target)
		}
		if f.command != "" {
			fleet.Try(faults.Exec, host, f.command)
		}
	})
	return nil
}

// nodeAddresses asks the cluster for its nodes by kubectl: those with label, or those named.
func nodeAddresses(kubeconfig, label string, names []string) ([]string, error) {
	if _, err := os.Stat(kubeconfig); err != nil {
		return nil, err
	}
	output, err := exec.Command("kubectl", "--kubeconfig", kubeconfig, "get", "nodes", "-l", label, "-o", "json").Output()
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Status struct {
				Addresses []struct {
					Type    string `json:"type"`
					Address string `json:"address"`
				} `json:"addresses"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(output, &list); err != nil {
		return nil, err
	}
	var found []string
	for _, node := range list.Items {
		if label == "" && !slices.Contains(names, node.Metadata.Name) {
			continue
		}
		for _, a := range node.Status.Addresses {
			if a.Type == "InternalIP" {
				found = append(found, a.Address+":22")
			}
		}
	}
	return found, nil
}
