package kubeadm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// Reset ends what init, join and the kubelet started here and removes what kubeadm reset removes. Like the real one it
// goes on after a step that fails, says so, and calls the whole a success; only processes that stay are an error.
func Reset(force bool) error {
	if !force {
		fmt.Print("[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted.\n[reset] Are you sure you want to proceed? [y/N]: ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return &UserError{"aborted reset operation"}
		}
	}
	warn := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "W [reset] %s: %v\n", what, err)
		}
	}
	fmt.Println("[preflight] Running pre-flight checks")
	if _, err := os.Stat(filepath.Join(lab.ManifestsDir, "etcd.yaml")); err == nil {
		fmt.Println("[reset] Removing info for node from the etcd cluster and the ConfigMap \"kubeadm-config\"")
		warn("etcd", leave())
	}
	fmt.Println("[reset] Stopping the kubelet service")
	problem := stopAll()
	warn("network", lab.ClearNetwork())
	warn("unmount", unmount(lab.KubeletDir))
	stateful := []string{lab.EtcdDir, lab.KubeletDir, lab.CNIConfDir, "/var/lib/dockershim", "/var/run/kubernetes"}
	config := []string{lab.ManifestsDir, lab.PKIDir}
	fmt.Printf("[reset] Deleting contents of config directories: [%s]\n", strings.Join(config, " "))
	for _, dir := range append(config, stateful...) {
		warn(dir, empty(dir))
	}
	var files []string
	for _, name := range []string{"admin.conf", "kubelet.conf", "bootstrap-kubelet.conf", "controller-manager.conf", "scheduler.conf"} {
		path := filepath.Join(lab.KubernetesDir, name)
		files = append(files, path)
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			warn(path, err)
		}
	}
	fmt.Printf("[reset] Deleting files: [%s]\n[reset] Deleting contents of stateful directories: [%s]\n", strings.Join(files, " "), strings.Join(stateful, " "))
	return problem
}

// leave takes this master out of etcd and of the cluster's list of masters.
func leave() error {
	own, err := lab.NodeAddress()
	if err != nil {
		return err
	}
	node, err := lab.NodeName()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := members(ctx, own.IP.String())
	if err != nil {
		return err
	}
	if len(list) < 2 {
		return nil // the cluster ends with this machine
	}
	if client, err := kube.FromFile(filepath.Join(lab.KubernetesDir, "admin.conf")); err == nil {
		if err := noteMaster(ctx, client, node, ""); err != nil {
			fmt.Fprintf(os.Stderr, "W [reset] kubeadm-config: %v\n", err)
		}
	}
	return leaveEtcd(ctx, own.IP.String())
}

// stopAll ends the kubelet first, so that it starts nothing again, then all that was recorded.
func stopAll() error {
	var problems []error
	for _, process := range lab.Recorded() {
		if process.Name == "kubelet" {
			problems = append(problems, process.Stop(10*time.Second))
		}
	}
	processes := lab.Recorded()
	results := make(chan error, len(processes))
	for _, process := range processes {
		// All data goes away next; the time is for install-cni, which takes its entry out of the network list.
		go func() { results <- process.Stop(2 * time.Second) }()
	}
	for range processes {
		problems = append(problems, <-results)
	}
	return errors.Join(problems...)
}

// empty removes what is in a folder and keeps the folder, which may be a mount.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	problems := []error{err}
	for _, entry := range entries {
		problems = append(problems, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(problems...)
}

// unmount takes away what is mounted under dir; mounts of the containers are private to them and gone with them.
func unmount(dir string) error {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var problems []error
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			problems = append(problems, syscall.Unmount(fields[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(problems...)
}
