// Package ipvs makes a virtual server with nftables, where lvscare (which sealos has built in) makes one with the kernel's IPVS: the
// kernels of small machines have none.
package ipvs

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

const table = "lab-ipvs"

// Server is one virtual server; addresses are IP:PORT.
type Server struct {
	Virtual                  string
	Real                     []string
	HealthPath, HealthScheme string
}

// Keep points the virtual server at the real ones that are healthy, or at all when none is: a first master may just be starting.
func (s Server) Keep() error {
	virtual, err := netip.ParseAddrPort(s.Virtual)
	if err != nil {
		return err
	}
	var all, healthy []netip.AddrPort
	for _, text := range s.Real {
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		all = append(all, server)
		if s.answers(server) {
			healthy = append(healthy, server)
		}
	}
	if len(healthy) == 0 {
		healthy = all
	}
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(ruleset(virtual, healthy))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

func (s Server) answers(server netip.AddrPort) bool {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // as lvscare does
	}}
	answer, err := client.Get(fmt.Sprintf("%s://%s%s", s.HealthScheme, server, s.HealthPath))
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode < 400
}

// ruleset is what `nft -f -` reads: the table as a whole, at once. Connections of this machine and those that pass through it (its
// pods') are led to the real servers in turn.
func ruleset(virtual netip.AddrPort, real []netip.AddrPort) string {
	var rule string
	switch len(real) {
	case 0:
	case 1:
		rule = fmt.Sprintf("ip daddr %s tcp dport %d dnat to %s", virtual.Addr(), virtual.Port(), real[0])
	default:
		var choices []string
		for index, server := range real {
			choices = append(choices, fmt.Sprintf("%d : %s . %d", index, server.Addr(), server.Port()))
		}
		rule = fmt.Sprintf("ip daddr %s tcp dport %d dnat to numgen inc mod %d map { %s }", virtual.Addr(), virtual.Port(), len(real), strings.Join(choices, ", "))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "table ip %[1]s\ndelete table ip %[1]s\ntable ip %[1]s {\n", table)
	for _, hook := range []string{"output", "prerouting"} {
		fmt.Fprintf(&text, "  chain %s {\n    type nat hook %s priority -101; policy accept;\n    %s\n  }\n", hook, hook, rule)
	}
	text.WriteString("}\n")
	return text.String()
}
