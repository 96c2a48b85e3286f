package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func plan(t *testing.T, text string) (*Plan, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAB_SEALOS_FAULTS", path)
	return Load("/nowhere")
}

func TestStrike(t *testing.T) {
	p, err := plan(t, `{"faults":[
		{"step":"cni","action":"fail","host":"10.0.0.1","times":2,"message":"played"},
		{"step":"cert","action":"fail-after"},
		{"step":"route","action":"hang","seconds":0.05}]}`)
	if err != nil {
		t.Fatal(err)
	}
	own := errors.New("own failure")
	for i, c := range []struct {
		step      Step
		host      string
		done      bool
		phrase    string
		operation error
	}{
		{CNI, "10.0.0.2:22", true, "", nil},
		{CNI, "10.0.0.1:22", false, "injected fault at cni: played", nil},
		{CNI, "10.0.0.1:2222", false, "injected", nil},
		{CNI, "10.0.0.1:22", true, "own failure", own},
		{Cert, "10.0.0.9:22", true, "injected", own},
		{None, "10.0.0.1:22", true, "", nil},
	} {
		done := false
		err := p.Strike(c.step, c.host, func() error { done = true; return c.operation })
		if done != c.done || (err == nil) != (c.phrase == "") || (err != nil && !strings.Contains(err.Error(), c.phrase)) {
			t.Errorf("case %d: done %v, error %v", i, done, err)
		}
	}
	begin := time.Now()
	if err := p.Strike(Route, "10.0.0.1:22", func() error { return nil }); err != nil || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("hang: %v after %v", err, time.Since(begin))
	}
	left, err := os.ReadFile(os.Getenv("LAB_SEALOS_FAULTS"))
	if err != nil || strings.Contains(string(left), "cni") || !strings.Contains(string(left), "cert") {
		t.Errorf("the file afterwards: %s, %v", left, err)
	}
}

func TestLoad(t *testing.T) {
	for text, phrase := range map[string]string{
		`{"faults":[{"step":"x","action":"fail"}]}`: `no step "x"`,
		`{"faults":[{"step":"cni","action":"x"}]}`:  `no action "x"`,
		`{"faults":[{"step":"cni","actoin":"x"}]}`:  "actoin",
		`{"faults":[{"step":"","action":"fail"}]}`:  `no step ""`,
		`[`: "faults.json",
	} {
		if _, err := plan(t, text); err == nil || !strings.Contains(err.Error(), phrase) {
			t.Errorf("%s: %v, want %q", text, err, phrase)
		}
	}
	t.Setenv("LAB_SEALOS_FAULTS", "")
	if p, err := Load(t.TempDir()); err != nil || len(p.faults) != 0 {
		t.Errorf("no file: %v, %v", p, err)
	}
}

func TestCountInit(t *testing.T) {
	home := t.TempDir()
	for range 3 {
		if err := CountInit(home); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(home, ".sealos-standin-count")
	if data, err := os.ReadFile(path); err != nil || string(data) != "3\n" {
		t.Errorf("count file %q, %v", data, err)
	}
	if err := os.WriteFile(path, []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CountInit(home); err == nil {
		t.Error("a count that is no number was taken")
	}
}
