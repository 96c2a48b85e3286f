// Command runc goes before the real one, which stands beside it as runc.debian, on the machines of the lab. Their root may lack what
// every container of Kubernetes asks for (rights, and a claim to be killed last): the container then starts with what can be had,
// where the real runc ends with an error. Where nothing is lacking it changes nothing.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// In the order of their numbers (include/uapi/linux/capability.h).
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
	NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
	SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
	WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runc:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if path := edited(arguments); path != "" {
		if err := edit(path); err != nil {
			return err
		}
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	real := filepath.Join(filepath.Dir(own), "runc.debian")
	return syscall.Exec(real, append([]string{"runc"}, arguments...), os.Environ())
}

// edited is the file that says what a process of a container may: of `create` and `run`, and of `exec`; else "".
func edited(arguments []string) string {
	value := func(flag string) string {
		for index, argument := range arguments {
			if argument == flag && index+1 < len(arguments) {
				return arguments[index+1]
			}
		}
		return ""
	}
	switch bundle := value("--bundle"); {
	case bundle != "":
		return filepath.Join(bundle, "config.json")
	case slices.Contains(arguments, "exec"):
		return value("--process")
	}
	return ""
}

func edit(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // limits are larger than what a float64 holds
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	process := spec
	if inner, ok := spec["process"].(map[string]any); ok {
		process = inner
	}
	if err := trim(process); err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// trim takes from a process what this one can't give.
func trim(process map[string]any) error {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	least, err := strconv.ParseInt(strings.TrimSpace(string(own)), 10, 64)
	if err != nil {
		return err
	}
	if number, ok := process["oomScoreAdj"].(json.Number); ok {
		if wanted, err := number.Int64(); err == nil && wanted < least {
			process["oomScoreAdj"] = least
		}
	}
	bound, err := bounding()
	if err != nil {
		return err
	}
	sets, _ := process["capabilities"].(map[string]any)
	for kind, names := range sets {
		list, _ := names.([]any)
		sets[kind] = slices.DeleteFunc(list, func(name any) bool {
			text, _ := name.(string)
			bit := slices.Index(capabilities, strings.TrimPrefix(text, "CAP_"))
			return bit < 0 || bound>>bit&1 == 0
		})
	}
	return nil
}

// bounding is the set of capabilities that a process of this machine can have.
func bounding() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "CapBnd:")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(strings.TrimSpace(line), 16, 64)
}
