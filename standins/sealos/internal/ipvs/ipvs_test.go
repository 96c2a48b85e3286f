package ipvs

import (
	"net/netip"
	"strings"
	"testing"
)

func TestRuleset(t *testing.T) {
	virtual := netip.MustParseAddrPort("10.103.97.2:6443")
	one, two := netip.MustParseAddrPort("198.18.5.11:6443"), netip.MustParseAddrPort("198.18.5.12:6443")
	for want, real := range map[string][]netip.AddrPort{
		"ip daddr 10.103.97.2 tcp dport 6443 dnat to 198.18.5.11:6443\n":                  {one},
		"dnat to numgen inc mod 2 map { 0 : 198.18.5.11 . 6443, 1 : 198.18.5.12 . 6443 }": {one, two},
	} {
		if text := ruleset(virtual, real); strings.Count(text, want) != 2 { // for this machine's connections and its pods'
			t.Errorf("%s: not twice in\n%s", want, text)
		}
	}
	if text := ruleset(virtual, nil); strings.Contains(text, "dnat") {
		t.Errorf("without a server:\n%s", text)
	}
}
