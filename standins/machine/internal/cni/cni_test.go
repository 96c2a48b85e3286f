package cni

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

const calico = `{"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[{"type":"calico"},{"type":"portmap","snat":true}]}`

func entry(level string) map[string]any {
	return map[string]any{"type": Type, "name": Type, "log_level": level}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func types(t *testing.T, dir, name string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Plugins []struct{ Type string }
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range config.Plugins {
		list = append(list, plugin.Type)
	}
	return list
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("chain %v, want %v", got, want)
	}
	for index := range want {
		if got[index] != want[index] {
			t.Fatalf("chain %v, want %v", got, want)
		}
	}
}

func TestFirstSkipsOtherFilesAndInvalidOnes(t *testing.T) {
	dir := t.TempDir()
	if got := First(dir); got != "" {
		t.Fatalf("empty folder: %q", got)
	}
	put(t, dir, "00-broken.conf", "{")
	put(t, dir, "05-login", "{}")
	put(t, dir, "07-neither.conf", `{"name":"x"}`)
	put(t, dir, ".01-hidden.conflist", calico)
	put(t, dir, "20-other.conflist", calico)
	put(t, dir, "10-calico.conflist", calico)
	if got := First(dir); got != "10-calico.conflist" {
		t.Fatalf("first: %q", got)
	}
}

func TestAppendPutsTheEntryLastAndReplacesItsOwn(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "10-calico.conflist", calico)
	for _, level := range []string{"info", "debug"} {
		name, err := Append(dir, "10-calico.conflist", entry(level))
		if err != nil || name != "10-calico.conflist" {
			t.Fatal(name, err)
		}
		same(t, types(t, dir, name), "calico", "portmap", Type)
	}
	data, _ := read(filepath.Join(dir, "10-calico.conflist"))
	last := plugins(data)[2].(map[string]any)
	if last["log_level"] != "debug" {
		t.Fatalf("the newer entry does not win: %v", last)
	}
}

func TestAppendMovesAnOldEntryToTheEnd(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.conflist", `{"plugins":[{"type":"calico"},{"type":"istio-cni"},{"type":"bandwidth"}]}`)
	if _, err := Append(dir, "a.conflist", entry("info")); err != nil {
		t.Fatal(err)
	}
	same(t, types(t, dir, "a.conflist"), "calico", "bandwidth", Type)
}

func TestAppendTurnsConfIntoConflist(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "10-single.conf", `{"type":"bridge","name":"net"}`)
	name, err := Append(dir, "10-single.conf", entry("info"))
	if err != nil || name != "10-single.conflist" {
		t.Fatal(name, err)
	}
	same(t, types(t, dir, name), "bridge", Type)
	if _, err := os.Stat(filepath.Join(dir, "10-single.conf")); !os.IsNotExist(err) {
		t.Fatal("the .conf is still there")
	}
}

func TestAppendToNothingWritesAListThatTheNetworkPluginMayOverwrite(t *testing.T) {
	dir := t.TempDir()
	name, err := Append(dir, "10-calico.conflist", entry("info"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, types(t, dir, name), Type)
	if err := Check(dir, name, true); err != nil {
		t.Fatal(err)
	}
	put(t, dir, name, calico)
	if Check(dir, name, true) == nil {
		t.Fatal("overwritten by the network plugin, but Check is content")
	}
}

func TestAppendLeavesABrokenFileAlone(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.conflist", "{")
	if _, err := Append(dir, "a.conflist", entry("info")); err == nil {
		t.Fatal("no error for a file that is not JSON")
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "a.conflist")); string(data) != "{" {
		t.Fatalf("file changed to %q", data)
	}
}

func TestRemoveTakesOnlyItsEntry(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.conflist", calico)
	if _, err := Append(dir, "a.conflist", entry("info")); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir, "a.conflist"); err != nil {
		t.Fatal(err)
	}
	same(t, types(t, dir, "a.conflist"), "calico", "portmap")
	if err := Remove(dir, "missing.conflist"); err != nil {
		t.Fatal(err)
	}
	if _, err := Append(dir, "own.conflist", entry("info")); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir, "own.conflist"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "own.conflist")); !os.IsNotExist(err) {
		t.Fatal("a list without plugins is left")
	}
}

func TestCheckPreemption(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "10-calico.conflist", calico)
	if _, err := Append(dir, "10-calico.conflist", entry("info")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "05-earlier.conflist", calico)
	if Check(dir, "10-calico.conflist", false) == nil {
		t.Fatal("an earlier file is no fault though the file was found by search")
	}
	if err := Check(dir, "10-calico.conflist", true); err != nil {
		t.Fatalf("with CNI_CONF_NAME an earlier file is only a warning: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "10-calico.conflist")); err != nil {
		t.Fatal(err)
	}
	if Check(dir, "10-calico.conflist", true) == nil {
		t.Fatal("removed file, but Check is content")
	}
}
