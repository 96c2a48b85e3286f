// Package address holds the grammar of sealos v3's --master and --node values: IP, IP:PORT, A-B and A-B:PORT, IPv4 only.
package address

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const defaultPort = "22"

// Expand turns flag values into a list of IP:PORT; port 22 is filled in where none is given.
// A host name, an IPv6 address, a bad port or a range that runs backwards is an error.
func Expand(values []string) ([]string, error) {
	expanded := []string{}
	for _, value := range values {
		hosts, err := expand(strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, hosts...)
	}
	return expanded, nil
}

func expand(value string) ([]string, error) {
	hosts, port, hasPort := strings.Cut(value, ":")
	if !hasPort {
		port = defaultPort
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
		return nil, fmt.Errorf("port %q of %q is not a number from 1 to 65535", port, value)
	}
	from, to, isRange := strings.Cut(hosts, "-")
	if !isRange {
		to = from
	}
	first, err := ipv4(from, value)
	if err != nil {
		return nil, err
	}
	last, err := ipv4(to, value)
	if err != nil {
		return nil, err
	}
	if last < first {
		return nil, fmt.Errorf("range %q ends before it begins", value)
	}
	var out []string
	for number := uint64(first); number <= uint64(last); number++ {
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], uint32(number))
		out = append(out, netip.AddrFrom4(raw).String()+":"+port)
	}
	return out, nil
}

func ipv4(text, value string) (uint32, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is4() {
		return 0, fmt.Errorf("%q is not an IPv4 address or range", value)
	}
	raw := ip.As4()
	return binary.BigEndian.Uint32(raw[:]), nil
}

// IP returns the address without its port.
func IP(host string) string {
	ip, _, _ := strings.Cut(host, ":")
	return ip
}

// IPs returns the addresses without their ports.
func IPs(hosts []string) []string {
	out := make([]string, len(hosts))
	for i, host := range hosts {
		out[i] = IP(host)
	}
	return out
}
