package lab

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// nftTable holds all rules of a machine; dropping it undoes them.
	nftTable = "lab-kubernetes"
	// routeProtocol marks the routes that were made here, so that a reset removes those and no other.
	routeProtocol = "188"
)

// Network says which virtual addresses of the cluster lead to which masters on this machine.
//
// The kernels of small machines have no IPVS, so neither kube-proxy nor `sealos ipvs` can serve the first service
// address or the virtual IP of the masters. DNAT in the machine's own network namespace stands for both.
type Network struct {
	VIPs      []string `json:"vips"`      // each answers on 6443
	ServiceIP string   `json:"serviceIP"` // answers on 443; empty while not known
	Masters   []string `json:"masters"`
	PodSubnet string   `json:"podSubnet,omitempty"` // of the whole cluster
}

func networkPath() string { return filepath.Join(RunDir, "network.json") }

// LoadNetwork reads what was last applied; nothing is an empty Network.
func LoadNetwork() Network {
	var network Network
	if data, err := os.ReadFile(networkPath()); err == nil {
		_ = json.Unmarshal(data, &network)
	}
	return network
}

// Ruleset is the text for `nft -f -` that replaces the machine's rules.
func (n Network) Ruleset() string {
	var text strings.Builder
	fmt.Fprintf(&text, "table ip %s\ndelete table ip %s\ntable ip %s {\n  chain output {\n", nftTable, nftTable, nftTable)
	fmt.Fprintf(&text, "    type nat hook output priority -100; policy accept;\n")
	if len(n.Masters) > 0 {
		target := fmt.Sprintf("dnat to %s:%d", n.Masters[0], APIServerPort)
		if len(n.Masters) > 1 {
			var choices []string
			for index, master := range n.Masters {
				choices = append(choices, fmt.Sprintf("%d : %s", index, master))
			}
			target = fmt.Sprintf("dnat to numgen inc mod %d map { %s }:%d", len(n.Masters), strings.Join(choices, ", "), APIServerPort)
		}
		for _, vip := range n.VIPs {
			fmt.Fprintf(&text, "    ip daddr %s tcp dport %d %s\n", vip, APIServerPort, target)
		}
		if n.ServiceIP != "" {
			fmt.Fprintf(&text, "    ip daddr %s tcp dport 443 %s\n", n.ServiceIP, target)
		}
	}
	text.WriteString("  }\n}\n")
	return text.String()
}

// Equal compares two networks.
func (n Network) Equal(other Network) bool {
	return n.ServiceIP == other.ServiceIP && slices.Equal(n.VIPs, other.VIPs) && slices.Equal(n.Masters, other.Masters)
}

// Apply makes the routes and rules and notes them. Only addresses that parse as IPv4 get into them.
func (n Network) Apply() error {
	n = n.valid()
	for _, address := range append(slices.Clone(n.VIPs), n.ServiceIP) {
		if address == "" || isOwn(address) {
			continue
		}
		// sealos may have made a route for the virtual IP already; the packet only has to find a way out.
		if exec.Command("ip", "-4", "route", "get", address).Run() == nil {
			continue
		}
		if output, err := exec.Command("ip", "-4", "route", "replace", address+"/32", "dev", deviceName(), "proto", routeProtocol).CombinedOutput(); err != nil {
			return fmt.Errorf("route to %s: %s", address, strings.TrimSpace(string(output)))
		}
	}
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(n.Ruleset())
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(output)))
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return WriteFile(networkPath(), data, 0o644)
}

// PodCIDR is the part of the pod subnet for the node with this address: a /24 numbered by the address's last byte. The
// controller that hands them out on real clusters holds up all the others for ten seconds at its start (it polls for
// nodes), so the lab leaves it out; nodes of one /24 network never get the same part. "" when the subnet is too small.
func (n Network) PodCIDR(node net.IP) string {
	_, subnet, err := net.ParseCIDR(n.PodSubnet)
	if err != nil || subnet.IP.To4() == nil || node.To4() == nil {
		return ""
	}
	if ones, _ := subnet.Mask.Size(); ones > 16 {
		return ""
	}
	base := subnet.IP.To4()
	return fmt.Sprintf("%d.%d.%d.0/24", base[0], base[1], node.To4()[3])
}

func (n Network) valid() Network {
	clean := Network{PodSubnet: n.PodSubnet}
	add := func(list []string) (out []string) {
		for _, address := range list {
			if ip := net.ParseIP(address).To4(); ip != nil && !slices.Contains(out, ip.String()) {
				out = append(out, ip.String())
			}
		}
		slices.Sort(out)
		return out
	}
	clean.VIPs, clean.Masters = add(n.VIPs), add(n.Masters)
	// A master's own address needs no rule, and one that led to itself in a circle would break it.
	clean.VIPs = slices.DeleteFunc(clean.VIPs, func(vip string) bool { return slices.Contains(clean.Masters, vip) })
	if ip := net.ParseIP(n.ServiceIP).To4(); ip != nil {
		clean.ServiceIP = ip.String()
	}
	return clean
}

// ClearNetwork removes the rules and routes made by Apply and reports what could not be removed.
func ClearNetwork() error {
	if exec.Command("nft", "list", "table", "ip", nftTable).Run() == nil {
		if output, err := exec.Command("nft", "delete", "table", "ip", nftTable).CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %s", strings.TrimSpace(string(output)))
		}
	}
	_ = exec.Command("ip", "-4", "route", "flush", "proto", routeProtocol).Run()
	if err := os.Remove(networkPath()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func isOwn(address string) bool {
	addresses, _ := net.InterfaceAddrs()
	for _, own := range addresses {
		if network, ok := own.(*net.IPNet); ok && network.IP.String() == address {
			return true
		}
	}
	return false
}

func deviceName() string {
	own, err := NodeAddress()
	if err != nil {
		return interfaceName
	}
	interfaces, _ := net.Interfaces()
	for _, candidate := range interfaces {
		addresses, _ := candidate.Addrs()
		for _, address := range addresses {
			if network, ok := address.(*net.IPNet); ok && network.IP.Equal(own.IP) {
				return candidate.Name
			}
		}
	}
	return interfaceName
}

// Answers says whether a TCP connection to address:port succeeds within the limit.
func Answers(address string, port int, limit time.Duration) bool {
	connection, err := net.DialTimeout("tcp4", net.JoinHostPort(address, fmt.Sprint(port)), limit)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// Healthy says whether the API server at the address calls itself healthy, as lvscare of sealos asks. No login is sent,
// so the server's certificate is of no concern.
func Healthy(address string, limit time.Duration) bool {
	client := &http.Client{Timeout: limit, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := client.Get("https://" + net.JoinHostPort(address, fmt.Sprint(APIServerPort)) + "/healthz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Neighbours lists the addresses of a network up to /24 around own, without own; of a larger network only that /24.
func Neighbours(own *net.IPNet) []string {
	base := own.IP.To4()
	var all []string
	for last := 1; last < 255; last++ {
		candidate := net.IPv4(base[0], base[1], base[2], byte(last))
		if own.Contains(candidate) && !candidate.Equal(own.IP) {
			all = append(all, candidate.String())
		}
	}
	return all
}

// Search tries all addresses at once and returns those that pass, in order.
func Search(addresses []string, passes func(address string) bool) []string {
	found := make([]bool, len(addresses))
	var wait sync.WaitGroup
	for index, address := range addresses {
		wait.Go(func() { found[index] = passes(address) })
	}
	wait.Wait()
	var matching []string
	for index, address := range addresses {
		if found[index] {
			matching = append(matching, address)
		}
	}
	return matching
}
