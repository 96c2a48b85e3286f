package cmd

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/ipvs"
	"sealos-istio/standins/sealos/internal/pki"
)

// The commands of this file run on the hosts, called by a sealos elsewhere.

func certCommand() *cobra.Command {
	var spec pki.Spec
	command := &cobra.Command{
		Use: "cert", Short: "Write a control-plane node's certificates", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := pki.Generate(spec); err != nil {
				return exit(1, "generate certificates: %s", err)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&spec.AltNames, "alt-names", nil, "further names and addresses of the API server")
	flags.StringVar(&spec.NodeName, "node-name", "", "name of the node")
	flags.StringVar(&spec.NodeIP, "node-ip", "", "address of the node")
	flags.StringVar(&spec.ServiceCIDR, "service-cidr", "", "addresses of Services")
	flags.StringVar(&spec.DNSDomain, "dns-domain", "cluster.local", "the cluster's DNS domain")
	flags.StringVar(&spec.Dir, "cert-path", "/etc/kubernetes/pki", "folder of the certificates")
	flags.StringVar(&spec.EtcdDir, "cert-etcd-path", "/etc/kubernetes/pki/etcd", "folder of etcd's certificates")
	return command
}

func routeCommand() *cobra.Command {
	var host, gateway string
	command := &cobra.Command{
		Use: "route", Short: "Say whether the default route goes out from --host: ok or failed", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if host == "" {
				return exit(1, "--host is missing")
			}
			if defaultSource() == host {
				fmt.Println("ok")
			} else {
				fmt.Println("failed")
			}
			return nil
		},
	}
	command.Flags().StringVar(&host, "host", "", "address of this host")
	for verb, words := range map[string][]string{"add": {"route", "replace"}, "del": {"route", "del"}} {
		change := &cobra.Command{
			Use: verb, Short: "Change the route to --host by way of --gateway", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return changeRoute(words, host, gateway) },
		}
		change.Flags().StringVar(&host, "host", "", "target address")
		change.Flags().StringVar(&gateway, "gateway", "", "address of the way there")
		command.AddCommand(change)
	}
	return command
}

// defaultSource is the address that packets to the rest of the world would come from; "" without a default route.
// No packet is sent: connecting a UDP socket only asks the routing table.
func defaultSource() string {
	connection, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return ""
	}
	defer func() { _ = connection.Close() }()
	source, _, _ := strings.Cut(connection.LocalAddr().String(), ":")
	return source
}

func changeRoute(words []string, host, gateway string) error {
	for name, value := range map[string]string{"--host": host, "--gateway": gateway} {
		if ip := net.ParseIP(value); ip == nil || ip.To4() == nil {
			return exit(1, "%s %q is not an IPv4 address", name, value)
		}
	}
	arguments := append(append([]string{}, words...), host+"/32", "via", gateway, "metric", "50")
	if output, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		return exit(1, "ip %s: %s %s", strings.Join(arguments, " "), err, output)
	}
	console.Info("ip %s", strings.Join(arguments, " "))
	return nil
}

// ipvsCommand takes what lvscare takes, which is built into sealos: as /usr/bin/lvscare in that image it is this program again.
func ipvsCommand(name string) *cobra.Command {
	server := ipvs.Server{}
	var once bool
	var interval int
	command := &cobra.Command{
		Use: name, Short: "Keep a virtual server to the masters (no IPVS: by nftables)", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for {
				if err := server.Keep(); err != nil {
					console.Warn("virtual server %s: %s", server.Virtual, err)
				}
				if once {
					return nil
				}
				time.Sleep(time.Duration(interval) * time.Second)
			}
		},
	}
	flags := command.Flags()
	flags.StringVar(&server.Virtual, "vs", "", "virtual server, IP:PORT")
	flags.StringSliceVar(&server.Real, "rs", nil, "real servers, IP:PORT")
	flags.StringVar(&server.HealthPath, "health-path", "/healthz", "path of the health check")
	flags.StringVar(&server.HealthScheme, "health-schem", "https", "scheme of the health check")
	flags.IntVar(&interval, "interval", 5, "seconds between health checks")
	flags.BoolVar(&once, "run-once", false, "do it once and end")
	return command
}
