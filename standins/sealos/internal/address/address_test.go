package address

import (
	"slices"
	"testing"
)

func TestExpand(t *testing.T) {
	for value, want := range map[string][]string{
		"192.168.0.2":              {"192.168.0.2:22"},
		"192.168.0.2:2222":         {"192.168.0.2:2222"},
		"192.168.0.2-192.168.0.4":  {"192.168.0.2:22", "192.168.0.3:22", "192.168.0.4:22"},
		"10.0.0.255-10.0.1.1:2222": {"10.0.0.255:2222", "10.0.1.0:2222", "10.0.1.1:2222"},
		"255.255.255.255":          {"255.255.255.255:22"},
		"10.0.0.7-10.0.0.7":        {"10.0.0.7:22"},
	} {
		got, err := Expand([]string{value})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Expand(%q) = %v, %v; want %v", value, got, err, want)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	for _, value := range []string{"", "node1", "fe80::1", "10.0.0.300", "10.0.0.9-10.0.0.2", "10.0.0.1:", "10.0.0.1:ssh", "10.0.0.1:70000", "10.0.0.1-"} {
		if got, err := Expand([]string{"10.0.0.1", value}); err == nil {
			t.Errorf("Expand(%q) = %v, want an error", value, got)
		}
	}
}

func TestIPs(t *testing.T) {
	if got := IPs([]string{"10.0.0.1:22", "10.0.0.2:2222"}); !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2"}) {
		t.Errorf("IPs = %v", got)
	}
}
