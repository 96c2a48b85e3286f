// Package cni edits CNI network lists the way Istio 1.5.0's install-cni script does: it takes the first configuration
// of the folder (or the named one), replaces its istio-cni entry by a new one at the end of the chain, and takes the
// entry out again when it stops. The rules are those of istio/cni deployments/kubernetes/install/scripts/install-cni.sh.
package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const (
	// Type is the plugin type of the entry.
	Type = "istio-cni"
	// FallbackName is written when the folder holds no configuration at all.
	FallbackName = "YYY-istio-cni.conflist"
	// KubeconfigName is the plugin's own login file in the configuration folder.
	KubeconfigName = "ZZZ-istio-cni-kubeconfig"
)

// First returns the name of the alphabetically first valid *.conf or *.conflist in dir, or "".
func First(dir string) string {
	entries, _ := os.ReadDir(dir)
	sort.Slice(entries, func(a, b int) bool { return entries[a].Name() < entries[b].Name() })
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".conf") && !strings.HasSuffix(name, ".conflist") {
			continue
		}
		if config, err := read(filepath.Join(dir, name)); err == nil && (config["type"] != nil || config["plugins"] != nil) {
			return name
		}
	}
	return ""
}

func read(path string) (map[string]any, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config := map[string]any{}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

func write(path string, config map[string]any) error {
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return Write(path, append(data, '\n'), 0o644)
}

// Write replaces a file whole or not at all.
func Write(path string, data []byte, mode os.FileMode) error {
	half := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	if err := os.WriteFile(half, data, mode); err != nil {
		return err
	}
	return os.Rename(half, path)
}

func plugins(config map[string]any) []any {
	list, _ := config["plugins"].([]any)
	return list
}

func others(list []any) []any {
	kept := []any{}
	for _, plugin := range list {
		if entry, ok := plugin.(map[string]any); ok && entry["type"] == Type {
			continue
		}
		kept = append(kept, plugin)
	}
	return kept
}

// Append puts the entry at the end of the chain in dir/name and returns the name that the file has afterwards:
// a single plugin's .conf becomes a .conflist. A missing file is created with this entry alone, as the script does;
// the network plugin that comes later writes over it, and Check then says so.
func Append(dir, name string, entry map[string]any) (string, error) {
	path := filepath.Join(dir, name)
	config, err := read(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		config = map[string]any{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": []any{entry}}
	case err != nil:
		return "", err
	case config["type"] != nil:
		config = map[string]any{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": []any{config, entry}}
	default:
		config["plugins"] = append(others(plugins(config)), entry)
	}
	target := name
	if strings.HasSuffix(name, ".conf") {
		target = name + "list"
	}
	if err := write(filepath.Join(dir, target), config); err != nil {
		return "", err
	}
	if target != name {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return target, nil
}

// Remove takes the entry out of dir/name; a file that is left without any plugin goes away. A missing file is no error.
func Remove(dir, name string) error {
	path := filepath.Join(dir, name)
	config, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if config["type"] == Type {
		return os.Remove(path)
	}
	before := plugins(config)
	kept := others(before)
	if len(kept) == len(before) {
		return nil
	}
	if len(kept) == 0 {
		return os.Remove(path)
	}
	config["plugins"] = kept
	return write(path, config)
}

// Check tells why the installation in dir/name no longer holds, or nil. With named false another configuration that
// sorts before it is a fault too (the runtime reads only the first).
func Check(dir, name string, named bool) error {
	config, err := read(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s was removed", name)
	}
	if err != nil {
		return err
	}
	found := config["type"] == Type
	for _, plugin := range plugins(config) {
		if entry, ok := plugin.(map[string]any); ok && entry["type"] == Type {
			found = true
		}
	}
	if !found {
		return fmt.Errorf("%s has no plugin of type %s", name, Type)
	}
	if first := First(dir); !named && first != name {
		return fmt.Errorf("%s is read before %s", first, name)
	}
	return nil
}
