package cluster

import (
	"slices"

	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/hosts"
	"sealos-istio/standins/sealos/internal/manifests"
)

// Join adds masters, then nodes (IP:PORT each) to the cluster of the config. A host that is a member already ends it with
// 255, an unreachable one with 1; a failed `kubeadm join` does not, and the host is a member of the config afterwards.
func (c *Cluster) Join(masters, nodes []string) error {
	for _, host := range append(append([]string{}, masters...), nodes...) {
		if slices.Contains(c.Config.Masters, host) || slices.Contains(c.Config.Nodes, host) {
			return exit(255, "[%s] has already exist in your cluster. please check.", host)
		}
	}
	if len(c.Config.Masters) == 0 {
		return exit(1, "config.yaml has no master to join to")
	}
	if len(masters) > 0 {
		if err := c.prepare(masters); err != nil {
			return err
		}
		c.fetchCertificateKey()
		c.fetchToken()
		c.joinMasters(masters)
		c.Config.Masters = append(c.Config.Masters, masters...)
		c.rewriteLvscare()
	}
	if len(nodes) > 0 {
		if err := c.prepare(nodes); err != nil {
			return err
		}
		c.fetchToken()
		c.joinNodes(nodes)
		c.Config.Nodes = append(c.Config.Nodes, nodes...)
	}
	return nil
}

func (c *Cluster) prepare(targets []string) error {
	if err := c.check(targets); err != nil {
		return err
	}
	if err := c.sendSealos(targets); err != nil {
		return err
	}
	c.sendPackage(targets)
	return nil
}

func (c *Cluster) fetchCertificateKey() {
	output, _ := c.fleet.Run(faults.UploadCerts, c.Config.Masters[0], c.kubeadm("init phase upload-certs --upload-certs"))
	c.join.CertificateKey = mustParse(manifests.ParseCertificateKey(output))
}

func (c *Cluster) fetchToken() {
	output, _ := c.fleet.Run(faults.TokenCreate, c.Config.Masters[0], c.kubeadm("token create --print-join-command"))
	key := c.join.CertificateKey
	c.readJoin(output)
	c.join.CertificateKey = key
}

// readJoin reads how to join out of kubeadm's words; the real one leaves it in its log once more.
func (c *Cluster) readJoin(output string) {
	c.join = mustParse(manifests.ParseJoin(output))
	console.Debug("[####]JoinToken :%s", c.join.Token)
	console.Debug("[####]TokenCaCertHash :%s", c.join.CACertHash)
	console.Debug("[####]CertificateKey :%s", c.join.CertificateKey)
}

func (c *Cluster) rewriteLvscare() {
	hosts.Each(c.Config.Nodes, func(node string) {
		c.fleet.Try(faults.None, node, "rm -rf /etc/kubernetes/manifests/kube-sealyun-lvscare*")
		c.sendLvscare(node)
	})
}
