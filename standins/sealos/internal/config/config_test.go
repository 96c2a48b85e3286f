package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The keys and their order.
var keys = []string{
	"masters", "nodes", "dnsdomain", "apiservercertsans", "user", "passwd", "privatekey", "pkpassword", "apiserverdomain",
	"network", "vip", "pkgurl", "version", "repo", "podcidr", "svccidr", "certpath", "certetcdpath", "lvscarename", "lvscaretag", "alioss",
}

func TestKeysAndOrder(t *testing.T) {
	data, err := (&Config{}).Text()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if !strings.HasPrefix(line, " ") {
			got = append(got, strings.SplitN(line, ":", 2)[0])
		}
	}
	if !slices.Equal(got, keys) {
		t.Errorf("keys %v, want %v", got, keys)
	}
	if !strings.Contains(string(data), "masters: []\nnodes: []\n") {
		t.Errorf("empty lists are not written as []:\n%s", data)
	}
}

func TestSaveKeepsAnOldMode(t *testing.T) {
	home := t.TempDir()
	for name, mode := range map[string]os.FileMode{"new.yaml": 0o644, "old.yaml": 0o600} {
		path := filepath.Join(home, name)
		if mode == 0o600 {
			if err := os.WriteFile(path, nil, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := Sample().Save(home, path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), mode)
		}
		back, err := Load(path)
		if err != nil || !reflect.DeepEqual(back, Sample()) {
			t.Errorf("read back %+v, %v", back, err)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("masters: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bad, bad + ".none"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Load(%s): %v, want an error that names the file", path, err)
		}
	}
}
