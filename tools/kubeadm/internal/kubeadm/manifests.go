package kubeadm

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/lab"
)

type yamlMap = map[string]any

// arguments puts a user's extra arguments over the defaults and sorts them, as kubeadm does.
func arguments(program string, defaults, extra map[string]string) []string {
	all := maps.Clone(defaults)
	maps.Copy(all, extra)
	command := []string{program}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		command = append(command, "--"+name+"="+all[name])
	}
	return command
}

type hostPath struct{ name, path, kind string }

// manifest is a static pod in the form of kubeadm.
func manifest(component, image string, command []string, paths []hostPath, extra []ExtraVolume) ([]byte, error) {
	var volumes, mounts []any
	add := func(name, path, mount, kind string, readOnly bool) {
		volume := yamlMap{"path": path}
		if kind != "" {
			volume["type"] = kind
		}
		volumes = append(volumes, yamlMap{"name": name, "hostPath": volume})
		mounts = append(mounts, yamlMap{"name": name, "mountPath": mount, "readOnly": readOnly})
	}
	for _, path := range paths {
		add(path.name, path.path, path.path, path.kind, path.name != "etcd-data")
	}
	for _, volume := range extra {
		add(volume.Name, volume.HostPath, volume.MountPath, volume.PathType, volume.ReadOnly)
	}
	return yaml.Marshal(yamlMap{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": yamlMap{"name": component, "namespace": "kube-system", "labels": yamlMap{"component": component, "tier": "control-plane"}},
		"spec": yamlMap{
			"hostNetwork": true, "priorityClassName": "system-cluster-critical",
			"containers": []any{yamlMap{
				"name": component, "image": image, "imagePullPolicy": "IfNotPresent", "command": command, "volumeMounts": mounts,
			}},
			"volumes": volumes,
		},
	})
}

// plane is what the manifests of one master depend on.
type plane struct {
	cluster     ClusterConfiguration
	node        string
	address     string
	etcdInitial string // --initial-cluster
	etcdState   string // --initial-cluster-state
}

const pki = lab.PKIDir

func (p plane) etcd() ([]byte, error) {
	client, peer := fmt.Sprintf("https://%s:2379", p.address), fmt.Sprintf("https://%s:2380", p.address)
	command := arguments("etcd", map[string]string{
		"advertise-client-urls": client, "listen-client-urls": "https://127.0.0.1:2379," + client, "listen-metrics-urls": "http://127.0.0.1:2381",
		"initial-advertise-peer-urls": peer, "listen-peer-urls": peer, "name": p.node, "initial-cluster": p.etcdInitial, "initial-cluster-state": p.etcdState,
		"cert-file": pki + "/etcd/server.crt", "key-file": pki + "/etcd/server.key", "client-cert-auth": "true", "trusted-ca-file": pki + "/etcd/ca.crt",
		"peer-cert-file": pki + "/etcd/peer.crt", "peer-key-file": pki + "/etcd/peer.key", "peer-client-cert-auth": "true", "peer-trusted-ca-file": pki + "/etcd/ca.crt",
		"data-dir": lab.EtcdDir, "snapshot-count": "10000", "log-level": "warn",
		// A lab does not outlive a power cut, and waiting for the disk slows every write.
		"unsafe-no-fsync": "true",
	}, nil)
	return manifest("etcd", p.cluster.ImageRepository+"/etcd:"+ofVersion().etcd, command, []hostPath{{"etcd-data", lab.EtcdDir, "DirectoryOrCreate"}, {"etcd-certs", pki + "/etcd", "DirectoryOrCreate"}}, nil)
}

func (p plane) image(component string) string {
	return fmt.Sprintf("%s/%s:%s", p.cluster.ImageRepository, component, p.cluster.KubernetesVersion)
}

func (p plane) apiServer() ([]byte, error) {
	defaults := map[string]string{
		"advertise-address": p.address, "bind-address": "0.0.0.0", "secure-port": fmt.Sprint(lab.APIServerPort), "insecure-port": "0", "allow-privileged": "true",
		"authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction", "enable-bootstrap-token-auth": "true",
		"client-ca-file": pki + "/ca.crt", "tls-cert-file": pki + "/apiserver.crt", "tls-private-key-file": pki + "/apiserver.key",
		"etcd-servers": "https://127.0.0.1:2379", "etcd-cafile": pki + "/etcd/ca.crt", "etcd-certfile": pki + "/apiserver-etcd-client.crt", "etcd-keyfile": pki + "/apiserver-etcd-client.key",
		"kubelet-client-certificate": pki + "/apiserver-kubelet-client.crt", "kubelet-client-key": pki + "/apiserver-kubelet-client.key", "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file": pki + "/front-proxy-client.crt", "proxy-client-key-file": pki + "/front-proxy-client.key",
		"requestheader-client-ca-file": pki + "/front-proxy-ca.crt", "requestheader-allowed-names": "front-proxy-client", "requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers": "X-Remote-Group", "requestheader-username-headers": "X-Remote-User",
		"service-account-key-file": pki + "/sa.pub", "service-cluster-ip-range": p.cluster.Networking.ServiceSubnet,
	}
	if ofVersion().issuesTokens {
		defaults["service-account-issuer"] = "https://kubernetes.default.svc." + p.cluster.Networking.DNSDomain
		defaults["service-account-signing-key-file"] = pki + "/sa.key"
	}
	command := arguments("kube-apiserver", defaults, p.cluster.APIServer.ExtraArgs)
	return manifest("kube-apiserver", p.image("kube-apiserver"), command, []hostPath{{"k8s-certs", pki, "DirectoryOrCreate"}}, p.cluster.APIServer.ExtraVolumes)
}

func (p plane) controllerManager() ([]byte, error) {
	const login = lab.KubernetesDir + "/controller-manager.conf"
	defaults := map[string]string{
		"authentication-kubeconfig": login, "authorization-kubeconfig": login, "kubeconfig": login, "bind-address": "127.0.0.1", "leader-elect": "true",
		"client-ca-file": pki + "/ca.crt", "cluster-signing-cert-file": pki + "/ca.crt", "cluster-signing-key-file": pki + "/ca.key", "root-ca-file": pki + "/ca.crt",
		"controllers": "*,bootstrapsigner,tokencleaner,-nodeipam", "requestheader-client-ca-file": pki + "/front-proxy-ca.crt",
		"service-account-private-key-file": pki + "/sa.key", "use-service-account-credentials": "true",
		// Not kubeadm's: the controllers start one after another, each waiting for its turn at the client's usual 20 requests a second.
		"kube-api-qps": "200", "kube-api-burst": "400", "leader-elect-retry-period": "1s",
	}
	if subnet := p.cluster.Networking.PodSubnet; subnet != "" {
		defaults["allocate-node-cidrs"], defaults["cluster-cidr"] = "true", subnet
		defaults["node-cidr-mask-size"], defaults["service-cluster-ip-range"] = "24", p.cluster.Networking.ServiceSubnet
	}
	command := arguments("kube-controller-manager", defaults, p.cluster.ControllerManager.ExtraArgs)
	paths := []hostPath{{"k8s-certs", pki, "DirectoryOrCreate"}, {"kubeconfig", login, "FileOrCreate"}}
	return manifest("kube-controller-manager", p.image("kube-controller-manager"), command, paths, p.cluster.ControllerManager.ExtraVolumes)
}

func (p plane) scheduler() ([]byte, error) {
	const login = lab.KubernetesDir + "/scheduler.conf"
	command := arguments("kube-scheduler", map[string]string{"kubeconfig": login, "bind-address": "127.0.0.1", "leader-elect": "true", "leader-elect-retry-period": "1s"}, p.cluster.Scheduler.ExtraArgs)
	return manifest("kube-scheduler", p.image("kube-scheduler"), command, []hostPath{{"kubeconfig", login, "FileOrCreate"}}, p.cluster.Scheduler.ExtraVolumes)
}

// write puts the named manifests where the kubelet sees them.
func (p plane) write(components ...string) error {
	makers := map[string]func() ([]byte, error){
		"etcd": p.etcd, "kube-apiserver": p.apiServer, "kube-controller-manager": p.controllerManager, "kube-scheduler": p.scheduler,
	}
	for _, component := range components {
		data, err := makers[component]()
		if err != nil {
			return err
		}
		fmt.Printf("[control-plane] Creating static Pod manifest for %q\n", component)
		if err := lab.WriteFile(filepath.Join(lab.ManifestsDir, component+".yaml"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// neededFiles lists the certificates and logins that the control plane starts from; sealos makes them beforehand.
func neededFiles() []string {
	var files []string
	for _, pair := range []string{"ca", "apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-ca", "front-proxy-client", "etcd/ca", "etcd/server", "etcd/peer"} {
		files = append(files, filepath.Join(pki, pair+".crt"), filepath.Join(pki, pair+".key"))
	}
	files = append(files, filepath.Join(pki, "sa.key"), filepath.Join(pki, "sa.pub"))
	for _, login := range []string{"admin", "controller-manager", "scheduler"} {
		files = append(files, filepath.Join(lab.KubernetesDir, login+".conf"))
	}
	return files
}
