package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a recorded process. Start (clock ticks after boot) tells it from a later one with the same id.
type Process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

func recordPath(name string) string { return filepath.Join(RunDir, name+".pid") }

// startTime reads field 22 of /proc/PID/stat and whether the process has ended but was not yet waited for.
func startTime(pid int) (start uint64, zombie bool, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false, err
	}
	// The program name in field 2 may hold blanks and brackets; what follows its last bracket does not.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	if len(fields) < 20 {
		return 0, false, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0] == "Z", err
}

// Record notes a running process under name.
func Record(name string, pid int) error {
	start, _, err := startTime(pid)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(RunDir, 0o755); err != nil {
		return err
	}
	data, err := json.Marshal(Process{Name: name, PID: pid, Start: start})
	if err != nil {
		return err
	}
	return WriteFile(recordPath(name), data, 0o644)
}

// Forget removes the note of a process that has ended.
func Forget(name string) { _ = os.Remove(recordPath(name)) }

// Recorded lists the processes that were noted and still run; notes of others are removed.
func Recorded() []Process {
	paths, _ := filepath.Glob(filepath.Join(RunDir, "*.pid"))
	sort.Strings(paths)
	var processes []Process
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var process Process
		if json.Unmarshal(data, &process) != nil || !process.Alive() {
			_ = os.Remove(path)
			continue
		}
		processes = append(processes, process)
	}
	return processes
}

// Alive says whether this very process still runs.
func (p Process) Alive() bool {
	if p.PID <= 1 {
		return false
	}
	start, zombie, err := startTime(p.PID)
	return err == nil && start == p.Start && !zombie
}

// Stop ends the process: first politely, after the grace time by force. It returns an error when the process stays.
func (p Process) Stop(grace time.Duration) error {
	if !p.Alive() {
		Forget(p.Name)
		return nil
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 5 * time.Second}} {
		if err := syscall.Kill(p.PID, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%s (process %d): %w", p.Name, p.PID, err)
		}
		for end := time.Now().Add(step.wait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if !p.Alive() {
				Forget(p.Name)
				return nil
			}
		}
	}
	return fmt.Errorf("%s (process %d) does not end", p.Name, p.PID)
}

// WriteFile replaces a file in one step, so that no reader sees half of it.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := errors.Join(temporary.Chmod(mode), writeAll(temporary, data), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

func writeAll(file *os.File, data []byte) error {
	_, err := file.Write(data)
	return err
}
