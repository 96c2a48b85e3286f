package cluster

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/hosts"
)

// Selection is what `clean` is asked to clean.
type Selection struct {
	Masters, Nodes []string // IP:PORT; membership is not checked
	All            bool     // every host of the config, when no host is named
	Force          bool     // no question on standard input
}

// Clean resets hosts and takes them out of the config, whatever became of the reset. After --all the folder ~/.sealos is
// gone (the caller writes config.yaml anew). Nothing to clean, or a "no", ends it with 255.
func (c *Cluster) Clean(s Selection) error {
	for _, host := range s.Nodes {
		if slices.Contains(c.Config.Masters, host) {
			return exit(255, "[%s] is a master: give it to --master", host)
		}
	}
	for _, host := range s.Masters {
		if slices.Contains(c.Config.Nodes, host) {
			return exit(255, "[%s] is a node: give it to --node", host)
		}
	}
	all := s.All && len(s.Masters) == 0 && len(s.Nodes) == 0
	ask := asker(s.Force)
	var masters, nodes []string
	if len(s.Masters) > 0 && ask(fmt.Sprintf("clean command will clean masters [%s], continue clean (y/n)?", strings.Join(s.Masters, ","))) {
		masters = s.Masters
	}
	if len(s.Nodes) > 0 && ask(fmt.Sprintf("clean command will clean nodes [%s], continue clean (y/n)?", strings.Join(s.Nodes, ","))) {
		nodes = s.Nodes
	}
	if all && ask("clean command will clean all masters and nodes, continue clean (y/n)?") {
		masters, nodes = slices.Clone(c.Config.Masters), slices.Clone(c.Config.Nodes)
	}
	if len(masters) == 0 && len(nodes) == 0 {
		return exit(255, "clean nodes and masters is empty,please check your args and config.yaml.")
	}
	var lock sync.Mutex
	hosts.Each(nodes, func(node string) {
		c.cleanRoute(node)
		c.reset(node)
		lock.Lock()
		c.Config.Nodes = without(c.Config.Nodes, node)
		lock.Unlock()
		if !all {
			c.deleteNode(node)
		}
	})
	for _, master := range masters {
		c.reset(master)
		c.Config.Masters = without(c.Config.Masters, master)
		if !all {
			c.deleteNode(master)
			c.rewriteLvscare()
		}
	}
	if all {
		console.Info("if clean all and clean sealos config")
		if err := os.RemoveAll(c.folder()); err != nil {
			console.Error("%s", err)
		}
	}
	return nil
}

// asker puts questions on standard output and reads y or n; the end of input is a no.
func asker(force bool) func(question string) bool {
	input := bufio.NewScanner(os.Stdin)
	return func(question string) bool {
		for !force {
			fmt.Println(question)
			if !input.Scan() {
				return false
			}
			switch strings.ToLower(strings.TrimSpace(input.Text())) {
			case "y", "yes":
				return true
			case "n", "no":
				return false
			}
		}
		return true
	}
}

func without(list []string, host string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(member string) bool { return member == host })
}

func (c *Cluster) cleanRoute(node string) {
	ip := address.IP(node)
	if c.fleet.Word(faults.None, node, "sealos route --host "+ip) != "ok" {
		c.fleet.Try(faults.Route, node, fmt.Sprintf("sealos route del --host %s --gateway %s", c.Config.VIP, ip))
	}
}

// reset undoes kubeadm's and sealos' work on host, and takes the user's own ~/.kube and /usr/bin/kube* with it.
func (c *Cluster) reset(host string) {
	c.fleet.Try(faults.KubeadmReset, host, c.kubeadm("reset -f"))
	commands := []string{
		"sed -i '/kubectl/d;/sealos/d' /root/.bashrc",
		"modprobe -r ipip  && lsmod",
		"rm -rf ~/.kube/ && rm -rf /etc/kubernetes/",
		"rm -rf /etc/systemd/system/kubelet.service.d && rm -rf /etc/systemd/system/kubelet.service",
		"rm -rf /usr/bin/kube* && rm -rf /usr/bin/crictl",
		"rm -rf /etc/cni && rm -rf /opt/cni",
		"rm -rf /var/lib/etcd && rm -rf /var/etcd",
		fmt.Sprintf(`sed -i "/%s/d" /etc/hosts`, c.Config.APIServerDomain),
		"rm -rf ~/kube",
		"rm -rf /etc/kubernetes/pki",
		"ps -ef |grep -v 'grep'|grep sealos >/dev/null || rm -rf /usr/bin/sealos",
	}
	err := c.fleet.Strike(faults.CleanFiles, host, func() error {
		for _, command := range commands {
			c.fleet.Try(faults.None, host, command)
		}
		return nil
	})
	if err != nil {
		console.Error("[%s] %s", host, err)
	}
}

// deleteNode asks the first remaining master to delete the Node object. For a host that does not answer the name is
// empty, and nothing is deleted.
func (c *Cluster) deleteNode(host string) {
	if len(c.Config.Masters) == 0 {
		return
	}
	master := c.Config.Masters[0]
	listed, _ := c.fleet.Run(faults.None, master, "kubectl get nodes | grep -v NAME  | awk '{print $1}'")
	name := c.fleet.Word(faults.None, host, "hostname")
	node := ""
	for _, word := range strings.Fields(listed) {
		if strings.EqualFold(word, name) {
			node = word
		}
	}
	c.fleet.Try(faults.DeleteNode, master, "kubectl delete node "+node)
}
