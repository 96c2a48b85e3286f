// Command pods is what runs in those containers of the lab whose programs can't be had: one program under several names, in images that
// have the real ones' names. It uses the standard library alone.
//
//	pause           holds a pod's namespaces; takes in processes whose parents are gone, as the real one does
//	calico-install  of calico/cni: the plugins, and the chain from the ConfigMap
//	calico          a CNI plugin: Debian's ptp, with addresses out of the node's podCIDR
//	calico-node     of calico/node: what the plugin needs to know, and routes to the other nodes' pods
//	istio-install   of istio/install-cni up to 1.6
//	envoy           of istio/proxyv2
//	serve           of dashboards and the like: answers on the ports that the image names
//	idle            everything else that only has to run
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

var programs = map[string]func() error{
	"pause":          pause,
	"idle":           pause,
	"calico-install": installCalico,
	"calico":         plugin,
	"calico-node":    node,
	"istio-install":  installIstio,
	"envoy":          envoy,
	"serve":          serve,
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, ok := programs[name]; !ok { // what an image calls otherwise is a link to one of these names
		if own, err := os.Executable(); err == nil {
			name = filepath.Base(own)
		}
	}
	program, ok := programs[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "pods: no program", name)
		os.Exit(2)
	}
	if err := program(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, err)
		os.Exit(1)
	}
}

// pause waits for the end.
func pause() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for got := range signals {
		if got != syscall.SIGCHLD {
			return nil
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
	return nil
}
