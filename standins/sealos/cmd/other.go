package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/manifests"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Printf("Version: %s\nLast Commit: \nBuild Date: \n", Version)
		},
	}
}

func configCommand() *cobra.Command {
	var name string
	command := &cobra.Command{
		Use: "config", Short: "Show the template of a kubeadm configuration", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := manifests.Template(name)
			if err != nil {
				return exit(1, "%s", err)
			}
			fmt.Print(text)
			return nil
		},
	}
	command.Flags().StringVarP(&name, "template", "t", "kubeadm", "kubeadm or join")
	return command
}

func cniCommand() *cobra.Command {
	var version, network, podCIDR, mtu string
	var bgp bool
	command := &cobra.Command{
		Use: "cni", Short: "Show Calico's manifest", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := manifests.Calico(version, network, podCIDR, mtu, bgp)
			if err != nil {
				return exit(1, "%s", err)
			}
			fmt.Println(text)
			return nil
		},
	}
	command.Flags().StringVar(&version, "cni-version", "v3.8.2", "version of Calico")
	command.Flags().StringVar(&network, "interface", "eth.*|en.*|em.*", "network interface, or an IPv4 address that must be reachable")
	command.Flags().StringVar(&podCIDR, "podcidr", "100.64.0.0/10", "addresses of pods")
	command.Flags().StringVar(&mtu, "mtu", "1440", "MTU of the pod network")
	command.Flags().BoolVar(&bgp, "bgp", false, "BGP instead of IP-in-IP")
	return command
}

// disabledCommand is one that v3.3.9 still lists but refuses to run. `delete` was for applications, not for nodes.
func disabledCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "Disabled since v3.3.9-rc.8", DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return exit(1, "%s is disabled since v3.3.9-rc.8", name) },
	}
}

// notPlayed is a command of the real program that the stand-in does not have; it says so and changes nothing.
func notPlayed(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short + " (not in the stand-in)", DisableFlagParsing: true,
		RunE: func(command *cobra.Command, _ []string) error {
			console.Error("%s: the stand-in has no such command; use a real sealos v3.3.9", command.CommandPath())
			return exit(1, "")
		},
	}
}

func etcdCommand() *cobra.Command {
	command := &cobra.Command{Use: "etcd", Short: "Save and restore etcd (not in the stand-in)"}
	for verb, short := range map[string]string{"save": "Save a snapshot", "restore": "Restore a snapshot", "health": "Ask etcd's members"} {
		command.AddCommand(notPlayed(verb, short))
	}
	return command
}

func upgradeCommand() *cobra.Command { return notPlayed("upgrade", "Upgrade the cluster") }
