package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sealos-istio/standins/sealos/internal/address"
	"sealos-istio/standins/sealos/internal/console"
	"sealos-istio/standins/sealos/internal/faults"
	"sealos-istio/standins/sealos/internal/hosts"
	"sealos-istio/standins/sealos/internal/manifests"
	"sealos-istio/standins/sealos/internal/pki"
)

const (
	kubernetesFolder = "/etc/kubernetes"
	kubeadmConfig    = "/root/kubeadm-config.yaml"
	kubeadmJoin      = "/root/kubeadm-join-config.yaml"
	lvscareManifest  = "/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml"
	calicoDefault    = "v3.8.2" // where the package has no Metadata
)

// Init makes a cluster of the config's hosts. Only a failed check and a failed `kubeadm init` end it early.
// The config's DNS domain, certificate names and network are filled in on the way.
func (c *Cluster) Init() error {
	all := append(append([]string{}, c.Config.Masters...), c.Config.Nodes...)
	if err := c.check(all); err != nil {
		return err
	}
	if err := c.sendSealos(all); err != nil {
		return err
	}
	c.sendPackage(all)
	if err := c.configureMaster0(); err != nil {
		return err
	}
	if err := c.makeCertificates(); err != nil {
		return err
	}
	if err := c.installMaster0(); err != nil {
		return err
	}
	c.joinMasters(c.Config.Masters[1:])
	c.joinNodes(c.Config.Nodes)
	console.Info("sealos install success.")
	return nil
}

func (c *Cluster) configureMaster0() error {
	master0 := c.Config.Masters[0]
	custom := ""
	if c.Options.KubeadmConfig != "" {
		data, err := os.ReadFile(c.Options.KubeadmConfig)
		if err != nil {
			return exit(1, "template file read failed: %s", err)
		}
		custom = string(data)
	}
	text, err := manifests.KubeadmInit{
		CgroupDriver: c.cgroupDriver(master0), Version: c.Config.Version, ApiServer: c.Config.APIServerDomain, Repo: c.Config.Repo, PodCIDR: c.Config.PodCIDR, SvcCIDR: c.Config.SvcCIDR,
		VIP: c.Config.VIP, Master0: address.IP(master0), Masters: address.IPs(c.Config.Masters), CertSANS: c.Options.CertSANs,
	}.Text(custom)
	if err != nil {
		return exit(1, "template parse failed: %s", err)
	}
	c.writeYAML(faults.KubeadmConfig, master0, text, kubeadmConfig)
	c.Config.DNSDomain, c.Config.APIServerCertSANs, err = manifests.ClusterNames(text)
	if err != nil {
		console.Warn("decode certSANs from config failed, using default SANs: %s", err)
		c.Config.DNSDomain = "cluster.local"
		c.Config.APIServerCertSANs = append([]string{"127.0.0.1", c.Config.APIServerDomain, c.Config.VIP}, c.Options.CertSANs...)
		c.Config.APIServerCertSANs = append(c.Config.APIServerCertSANs, address.IPs(c.Config.Masters)...)
	}
	return nil
}

// makeCertificates writes the pki and the kubeconfigs into ~/.sealos of this machine.
func (c *Cluster) makeCertificates() error {
	master0 := c.Config.Masters[0]
	name := c.fleet.Word(faults.None, master0, "hostname")
	err := pki.Generate(pki.Spec{
		Dir: c.Config.CertPath, EtcdDir: c.Config.CertEtcdPath, NodeName: name, NodeIP: address.IP(master0),
		ServiceCIDR: c.Config.SvcCIDR, DNSDomain: c.Config.DNSDomain, AltNames: c.Config.APIServerCertSANs,
	})
	if err != nil {
		return exit(1, "generate certificates: %s", err)
	}
	name = c.fleet.Word(faults.None, master0, "hostname")
	if err := pki.WriteKubeconfigs(c.Config.CertPath, c.folder(), name, "https://"+c.server()); err != nil {
		return exit(255, "generator kubeconfig failed %s", err)
	}
	return nil
}

func (c *Cluster) sendConfs(host string, names ...string) {
	for _, name := range names {
		c.fleet.Put(faults.SendConfs, host, filepath.Join(c.folder(), name), kubernetesFolder+"/"+name)
	}
}

func (c *Cluster) installMaster0() error {
	master0 := c.Config.Masters[0]
	ip := address.IP(master0)
	c.sendConfs(master0, "kubelet.conf", "admin.conf", "controller-manager.conf", "scheduler.conf")
	c.fleet.Put(faults.SendPki, master0, c.Config.CertPath, kubernetesFolder+"/pki")
	if err := appendOwnHosts(c.EtcHosts, ip, c.Config.APIServerDomain); err != nil {
		return exit(1, "write %s: %s", c.EtcHosts, err)
	}
	c.fleet.Try(faults.HostsFile, master0, fmt.Sprintf("grep -qF '%[1]s %[2]s' /etc/hosts || echo %[1]s %[2]s >> /etc/hosts", ip, c.Config.APIServerDomain))
	output, err := c.fleet.Run(faults.KubeadmInit, master0, c.kubeadm("init --config="+kubeadmConfig+" --upload-certs"))
	if err != nil {
		return exit(1, "[%s] install kubernetes failed. please clean and uninstall.", master0)
	}
	c.readJoin(output)
	c.fleet.Try(faults.Kubeconfig, master0, "mkdir -p /root/.kube && cp /etc/kubernetes/admin.conf /root/.kube/config && chmod 600 /root/.kube/config")
	if c.Options.WithoutCNI {
		console.Info("--without-cni is true, so we not install calico or flannel, install it by yourself")
		return nil
	}
	c.installCNI(master0)
	return nil
}

// mustParse panics where sealos v3 runs into an index out of range: the program ends with status 2.
func mustParse[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// appendOwnHosts adds the API server's name to this machine's hosts file unless the name stands there already,
// whatever its address. The line has no newline at its end, as the real one's.
func appendOwnHosts(path, ip, name string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.Contains(string(data), name) {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s %s", ip, name)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func (c *Cluster) installCNI(master0 string) {
	version := calicoDefault
	if c.fleet.Exists(master0, "/root/kube/Metadata") {
		var metadata struct {
			K8sVersion string `json:"k8sVersion"`
			CNIVersion string `json:"cniVersion"`
			CNIName    string `json:"cniName"`
		}
		output, err := c.fleet.Run(faults.None, master0, "cat /root/kube/Metadata")
		if err == nil {
			err = json.Unmarshal([]byte(output), &metadata)
		}
		if err != nil {
			console.Warn("the package's Metadata can't be read: %s", err)
		}
		if metadata.CNIVersion != "" {
			version = metadata.CNIVersion
		}
		if metadata.CNIName != "" {
			c.Config.Network = metadata.CNIName
		}
	}
	if c.Config.Network != "calico" {
		console.Error("[%s] the stand-in has no manifest for %s, only for calico", master0, c.Config.Network)
		return
	}
	text, err := manifests.Calico(version, c.Options.Interface, c.Config.PodCIDR, c.Options.MTU, c.Options.BGP)
	if err != nil {
		console.Error("calico: %s", err)
		return
	}
	local := filepath.Join(c.folder(), "cni.yaml")
	if err := os.WriteFile(local, []byte(text+"\n"), 0o755); err != nil {
		console.Error("%s", err)
		return
	}
	c.fleet.Send(faults.None, master0, local, "/tmp/cni.yaml")
	c.fleet.Try(faults.CNI, master0, "kubectl apply -f /tmp/cni.yaml")
}

// joinMasters joins further masters: their files one host after another, the rest in parallel (so that the additions
// of etcd members race, as with the real one).
func (c *Cluster) joinMasters(masters []string) {
	for _, master := range masters {
		c.sendConfs(master, "admin.conf", "controller-manager.conf", "scheduler.conf")
		c.fleet.Put(faults.SendPki, master, c.Config.CertPath, kubernetesFolder+"/pki")
	}
	hosts.Each(masters, c.joinMaster)
}

func (c *Cluster) joinMaster(master string) {
	master0, ip := address.IP(c.Config.Masters[0]), address.IP(master)
	c.writeJoinConfig(master, master0+":6443", ip)
	name := c.fleet.Word(faults.None, master, "hostname")
	c.fleet.Try(faults.Cert, master, c.certCommand(ip, name))
	c.fleet.Try(faults.HostsFile, master, fmt.Sprintf("echo %s %s >> /etc/hosts", master0, c.Config.APIServerDomain))
	c.fleet.Follow(faults.JoinMaster, master, c.kubeadm("join --config="+kubeadmJoin))
	c.fleet.Try(faults.HostsFile, master, fmt.Sprintf(`sed "s/%[1]s %[3]s/%[2]s %[3]s/g" -i /etc/hosts`, master0, ip, c.Config.APIServerDomain))
	c.fleet.Try(faults.Kubeconfig, master, "mkdir -p /root/.kube && cp /etc/kubernetes/admin.conf /root/.kube/config && chmod 600 /root/.kube/config")
	c.fleet.Try(faults.RemovePackage, master, "rm -rf /root/kube || :")
}

// certCommand leaves out what is empty: after a failed init that is the DNS domain and the names.
func (c *Cluster) certCommand(ip, name string) string {
	command := "sealos cert"
	for _, flag := range [][2]string{{"node-ip", ip}, {"node-name", name}, {"service-cidr", c.Config.SvcCIDR}, {"dns-domain", c.Config.DNSDomain}} {
		if flag[1] != "" {
			command += fmt.Sprintf(" --%s %s", flag[0], flag[1])
		}
	}
	for _, san := range c.Config.APIServerCertSANs {
		if san != "" {
			command += " --alt-names " + san
		}
	}
	return command
}

func (c *Cluster) writeJoinConfig(host, endpoint, master string) {
	text, err := manifests.JoinConfig(c.Config.Version, endpoint, master, c.cgroupDriver(host), c.join)
	if err != nil {
		console.Error("[%s] join configuration: %s", host, err)
		return
	}
	c.writeYAML(faults.JoinConfig, host, text, kubeadmJoin)
}

func (c *Cluster) joinNodes(nodes []string) { hosts.Each(nodes, c.joinNode) }

func (c *Cluster) joinNode(node string) {
	endpoint := c.Config.VIP + ":6443"
	ip := address.IP(node)
	c.writeJoinConfig(node, endpoint, "")
	c.fleet.Try(faults.HostsFile, node, fmt.Sprintf("echo %s %s >> /etc/hosts", c.Config.VIP, c.Config.APIServerDomain))
	if c.fleet.Word(faults.None, node, "sealos route --host "+ip) != "ok" {
		c.fleet.Try(faults.Route, node, fmt.Sprintf("sealos route add --host %s --gateway %s", c.Config.VIP, ip))
	}
	ipvs := "sealos ipvs --vs " + endpoint
	for _, master := range c.Config.Masters {
		ipvs += " --rs " + address.IP(master) + ":6443"
	}
	c.fleet.Try(faults.Ipvs, node, ipvs+" --health-path /healthz --health-schem https --run-once")
	c.fleet.Follow(faults.JoinNode, node, c.kubeadm("join --config="+kubeadmJoin))
	c.sendLvscare(node)
	c.fleet.Try(faults.RemovePackage, node, "rm -rf /root/kube")
}

// sendLvscare writes the static pod that points at the masters of the config.
func (c *Cluster) sendLvscare(node string) {
	text, err := manifests.Lvscare(c.Config.VIP, c.lvscareImage(), address.IPs(c.Config.Masters))
	if err != nil {
		console.Error("[%s] lvscare: %s", node, err)
		return
	}
	c.fleet.Try(faults.None, node, "mkdir -p "+filepath.Dir(lvscareManifest))
	c.fleet.PutText(faults.Lvscare, node, text+"\n", lvscareManifest)
}
