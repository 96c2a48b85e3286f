// Command kubelet is the node agent of the sealos-istio lab. It stands for the kubelet of the offline package.
package main

import (
	"flag"
	"fmt"
	"os"

	"sealos-istio/tools/kubeadm/internal/kubelet"
	"sealos-istio/tools/kubeadm/internal/lab"
)

func main() {
	if handled, err := kubelet.Hidden(os.Args); handled {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	options := kubelet.Options{}
	flag.StringVar(&options.Kubeconfig, "kubeconfig", lab.KubernetesDir+"/kubelet.conf", "login of the node")
	flag.StringVar(&options.Bootstrap, "bootstrap-kubeconfig", lab.KubernetesDir+"/bootstrap-kubelet.conf", "login that gets the node's one")
	flag.StringVar(&options.Config, "config", lab.KubeletDir+"/config.yaml", "KubeletConfiguration; accepted, not read")
	version := flag.String("version", "", "print the version")
	for index, argument := range os.Args {
		if argument == "--version" || argument == "-version" {
			os.Args[index] = "--version=true"
		}
	}
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "kubelet: node agent of the sealos-istio lab, standing for "+lab.KubernetesVersion+". It runs the control plane and a few pods for real; kwok plays the rest.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *version != "" && *version != "false" {
		fmt.Println("Kubernetes " + lab.KubernetesVersion)
		fmt.Println("stand-in of the sealos-istio lab")
		return
	}
	if err := kubelet.Run(options); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
}
