package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// containerCommand is the hidden command of the kubelet program that becomes a container's process.
const containerCommand = "lab-container"

// Binds of the machine that every container sees, as far as they exist.
var machineFiles = []string{"/etc/hosts", "/etc/resolv.conf", "/etc/localtime", "/etc/ssl/certs", "/usr/share/ca-certificates"}

// bind is one place of the container's file system.
type bind struct {
	Target   string            `json:"target"`
	Source   string            `json:"source,omitempty"` // a path of the machine, or
	Files    map[string][]byte `json:"files,omitempty"`  // files that exist in the container's memory only
	ReadOnly bool              `json:"readOnly,omitempty"`
}

// containerSpec is handed to the new process through a pipe, so that no secret of a pod touches the disk or `ps`.
type containerSpec struct {
	Root    string   `json:"root"`
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	Name    string   `json:"name"` // host name; empty keeps the machine's
	Binds   []bind   `json:"binds"`
}

// start runs the container in process, mount and IPC namespaces of its own, detached, with its output in a log file.
func (s containerSpec) start(logPath string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(logPath), 0o755), os.MkdirAll(s.Root, 0o700)); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	command := exec.Command(self, containerCommand)
	command.Args[0] = "lab-container " + filepath.Base(s.Program)
	command.Args = []string{command.Args[0], containerCommand}
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{reader}
	flags := uintptr(syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC)
	if s.Name != "" {
		flags |= syscall.CLONE_NEWUTS
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: flags}
	command.Env = []string{}
	if err := command.Start(); err != nil {
		writer.Close()
		return nil, err
	}
	_, err = writer.Write(data)
	if err = errors.Join(err, writer.Close()); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return nil, err
	}
	return command, nil
}

// BecomeContainer is the body of the hidden command: it builds the file system and turns into the program.
func BecomeContainer() error {
	pipe := os.NewFile(3, "spec")
	var spec containerSpec
	if err := json.NewDecoder(pipe).Decode(&spec); err != nil {
		return fmt.Errorf("container specification: %w", err)
	}
	pipe.Close()
	if err := spec.enter(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", spec.Program, syscall.Exec(spec.Program, spec.Args, spec.Env))
}

func (s containerSpec) enter() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("tmpfs", s.Root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	for _, dir := range []string{"proc", "dev", "tmp", "root", "etc", "run", "var/log", "var/tmp", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
			return err
		}
	}
	_ = os.Chmod(filepath.Join(s.Root, "tmp"), 0o1777)
	if err := os.Symlink("/run", filepath.Join(s.Root, "var/run")); err != nil {
		return err
	}
	if err := syscall.Mount("proc", filepath.Join(s.Root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	if err := syscall.Mount("/dev", filepath.Join(s.Root, "dev"), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	binds := slices.Clone(s.Binds)
	// A mount on a folder goes before mounts inside it.
	slices.SortStableFunc(binds, func(a, b bind) int { return strings.Compare(filepath.Clean(a.Target), filepath.Clean(b.Target)) })
	for _, bind := range binds {
		if err := s.bind(bind); err != nil {
			return fmt.Errorf("%s: %w", bind.Target, err)
		}
	}
	if err := syscall.Chroot(s.Root); err != nil {
		return err
	}
	if err := os.Chdir(s.Dir); err != nil {
		return err
	}
	if s.Name != "" {
		return syscall.Sethostname([]byte(s.Name))
	}
	return nil
}

func (s containerSpec) bind(b bind) error {
	// /var/run is a link to /run in the container, as in most images; follow it by hand, since the target is outside of the chroot yet.
	clean := filepath.Clean("/" + b.Target)
	if rest, ok := strings.CutPrefix(clean, "/var/run/"); ok {
		clean = "/run/" + rest
	}
	target := filepath.Join(s.Root, clean)
	if b.Source == "" {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		for name, data := range b.Files {
			path := filepath.Join(target, filepath.Clean("/"+name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	info, err := os.Stat(b.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE, 0o644); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(b.Source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if b.ReadOnly {
		return syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	return nil
}

// build works out a container's specification from the pod's.
func build(pod *kube.Pod, container *kube.Container, program string, who Identity, sources Sources) (containerSpec, error) {
	environment, err := Environment(pod, container, who, sources)
	if err != nil {
		return containerSpec{}, err
	}
	podDir := filepath.Join(lab.KubeletDir, "pods", pod.Meta.UID)
	// In the container every program lies in /usr/bin under the name that the pod calls it by.
	arguments := ExpandAll(append(slices.Clone(container.Command), container.Args...), environment)
	if len(arguments) == 0 {
		arguments = []string{filepath.Base(program)}
	}
	inside := filepath.Join("/usr/bin", filepath.Base(arguments[0]))
	spec := containerSpec{
		Root: filepath.Join(podDir, "containers", container.Name, "rootfs"), Program: inside, Args: arguments, Env: environment, Dir: "/",
		Binds: []bind{{Target: inside, Source: program, ReadOnly: true}},
	}
	if !pod.Spec.HostNetwork {
		spec.Name = pod.Meta.Name
	}
	for _, path := range machineFiles {
		if _, err := os.Stat(path); err == nil {
			spec.Binds = append(spec.Binds, bind{Target: path, Source: path, ReadOnly: true})
		}
	}
	for _, mount := range container.Mounts {
		index := slices.IndexFunc(pod.Spec.Volumes, func(volume kube.Volume) bool { return volume.Name == mount.Name })
		if index < 0 {
			return containerSpec{}, fmt.Errorf("volume %q is not in the pod", mount.Name)
		}
		made, err := mountVolume(pod, pod.Spec.Volumes[index], mount, podDir, sources)
		if err != nil {
			return containerSpec{}, err
		}
		if made != nil {
			spec.Binds = slices.DeleteFunc(spec.Binds, func(b bind) bool { return b.Target == made.Target })
			spec.Binds = append(spec.Binds, *made)
		}
	}
	if container.WorkingDir != "" {
		spec.Binds = append(spec.Binds, bind{Target: container.WorkingDir})
		spec.Dir = container.WorkingDir
	}
	return spec, nil
}

// mountVolume gives the bind for one volume; nil means that there is nothing to mount.
func mountVolume(pod *kube.Pod, volume kube.Volume, mount kube.VolumeMount, podDir string, sources Sources) (*bind, error) {
	made := &bind{Target: mount.Path, ReadOnly: mount.ReadOnly}
	switch {
	case volume.HostPath != nil:
		made.Source = filepath.Join(volume.HostPath.Path, mount.SubPath)
		if _, err := os.Stat(made.Source); err != nil {
			// Type "" in Kubernetes leaves it to the container runtime, which makes a folder.
			if kind := volume.HostPath.Type; kind != "" && kind != "DirectoryOrCreate" {
				return nil, fmt.Errorf("hostPath %s: %w", made.Source, err)
			}
			if err := os.MkdirAll(made.Source, 0o755); err != nil {
				return nil, err
			}
		}
	case volume.EmptyDir != nil:
		made.Source = filepath.Join(podDir, "volumes", volume.Name, mount.SubPath)
		if err := os.MkdirAll(made.Source, 0o755); err != nil {
			return nil, err
		}
	case volume.Secret != nil:
		data, err := sources.Secret(pod.Meta.Namespace, volume.Secret.Name)
		if err != nil {
			return nil, err
		}
		if data == nil && !volume.Secret.Optional {
			return nil, fmt.Errorf("secret %q not found", volume.Secret.Name)
		}
		made.Files = project(data, volume.Secret.Items)
	case volume.ConfigMap != nil:
		data, err := sources.ConfigMap(pod.Meta.Namespace, volume.ConfigMap.Name)
		if err != nil {
			return nil, err
		}
		if data == nil && !volume.ConfigMap.Optional {
			return nil, fmt.Errorf("configmap %q not found", volume.ConfigMap.Name)
		}
		raw := map[string][]byte{}
		for key, value := range data {
			raw[key] = []byte(value)
		}
		made.Files = project(raw, volume.ConfigMap.Items)
	default:
		return nil, fmt.Errorf("volume %q is of a kind that is not known here", volume.Name)
	}
	return made, nil
}

func project(data map[string][]byte, items []kube.KeyPath) map[string][]byte {
	if len(items) == 0 {
		return data
	}
	chosen := map[string][]byte{}
	for _, item := range items {
		if value, ok := data[item.Key]; ok {
			chosen[item.Path] = value
		}
	}
	return chosen
}
