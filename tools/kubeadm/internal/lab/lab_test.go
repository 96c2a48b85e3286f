package lab

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestRuleset(t *testing.T) {
	one := Network{VIPs: []string{"10.103.97.2"}, ServiceIP: "10.96.0.1", Masters: []string{"198.51.100.11"}}
	text := one.Ruleset()
	for _, want := range []string{"ip daddr 10.103.97.2 tcp dport 6443 dnat to 198.51.100.11:6443", "ip daddr 10.96.0.1 tcp dport 443 dnat to 198.51.100.11:6443"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	one.Masters = append(one.Masters, "198.51.100.12")
	if text := one.Ruleset(); !strings.Contains(text, "numgen inc mod 2 map { 0 : 198.51.100.11, 1 : 198.51.100.12 }:6443") {
		t.Errorf("two masters:\n%s", text)
	}
	if text := (Network{VIPs: []string{"10.103.97.2"}}).Ruleset(); strings.Contains(text, "dnat") {
		t.Errorf("a rule that leads nowhere:\n%s", text)
	}
}

func TestNetworkKeepsOnlyAddresses(t *testing.T) {
	clean := Network{VIPs: []string{"10.103.97.2", "10.103.97.2", "198.51.100.11", "x; drop"}, ServiceIP: "fd00::1", Masters: []string{"198.51.100.12", "198.51.100.11", ""}}.valid()
	if len(clean.VIPs) != 1 || clean.ServiceIP != "" || len(clean.Masters) != 2 || clean.Masters[0] != "198.51.100.11" {
		t.Errorf("%+v", clean)
	}
}

func TestPodCIDR(t *testing.T) {
	node := net.ParseIP("198.51.100.13")
	for subnet, want := range map[string]string{"100.64.0.0/10": "100.64.13.0/24", "10.244.0.0/16": "10.244.13.0/24", "10.244.1.0/24": "", "": "", "fd00::/48": ""} {
		if got := (Network{PodSubnet: subnet}).PodCIDR(node); got != want {
			t.Errorf("%s: %s, want %s", subnet, got, want)
		}
	}
}

func TestNeighbours(t *testing.T) {
	_, network, err := net.ParseCIDR("198.51.100.0/29")
	if err != nil {
		t.Fatal(err)
	}
	list := Neighbours(&net.IPNet{IP: net.ParseIP("198.51.100.3"), Mask: network.Mask})
	if strings.Join(list, " ") != "198.51.100.1 198.51.100.2 198.51.100.4 198.51.100.5 198.51.100.6 198.51.100.7" {
		t.Error(list)
	}
}

func TestStopEndsOnlyTheRecordedProcess(t *testing.T) {
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Wait()
	defer command.Process.Kill()
	start, _, err := startTime(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if later := (Process{Name: "x", PID: command.Process.Pid, Start: start + 1}); later.Alive() || later.Stop(time.Second) != nil {
		t.Error("a process with the same id and another start is taken for the recorded one")
	}
	right := Process{Name: "x", PID: command.Process.Pid, Start: start}
	if !right.Alive() {
		t.Fatal("the other process was ended, or the right one is not known")
	}
	if err := right.Stop(5 * time.Second); err != nil || right.Alive() {
		t.Error("it still runs", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := t.TempDir() + "/a/b"
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(data) != text || info.Mode().Perm() != 0o600 {
			t.Error(string(data), err, info.Mode())
		}
	}
}
