// Package standin keeps the stand-in honest: it says what it is, and it works only where it was told to.
package standin

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

const (
	// Variable is the environment variable that must be set before anything is run.
	Variable = "SEALOS_ISTIO_COMMAND_STANDIN"
	// Lab allows local commands, and SSH to loopback and to the documentation networks.
	Lab = "lab"
	// Anywhere allows everything. It is a sentence so that nobody sets it by accident.
	Anywhere = "I know this is not the real command provider"
	// Notice is what the stand-in says about itself wherever it can (schema, --version, --help, log).
	Notice = "STAND-IN for the Pulumi command provider, made for the lab of sealos-istio; it is not Pulumi's plugin"
)

// labNetworks are the only networks that the value "lab" opens: loopback, and RFC 5737's TEST-NET-2 and
// TEST-NET-3, which belong to nobody.
var labNetworks = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
}

// Allow returns an error unless the environment says that the stand-in may run something.
func Allow() error {
	switch value := os.Getenv(Variable); value {
	case Lab, Anywhere:
		return nil
	case "":
		return fmt.Errorf("this plugin is a %s. It runs nothing unless told so: install the real plugin "+
			"(pulumi plugin install resource command), or set %s=%s for the lab", Notice, Variable, Lab)
	default:
		return fmt.Errorf("this plugin is a %s. %s=%q is not known: use %q, or %q to use it outside the lab",
			Notice, Variable, value, Lab, Anywhere)
	}
}

// AllowHost returns an error unless the environment allows SSH to host. In the lab only literal addresses count:
// a name could lead anywhere.
func AllowHost(host string) error {
	if err := Allow(); err != nil {
		return err
	}
	if os.Getenv(Variable) == Anywhere {
		return nil
	}
	address, err := netip.ParseAddr(host)
	if err == nil {
		address = address.Unmap()
		for _, network := range labNetworks {
			if network.Contains(address) {
				return nil
			}
		}
	}
	return fmt.Errorf("this plugin is a %s. With %s=%s it connects only to literal addresses of the lab "+
		"(127.0.0.0/8, ::1, 198.51.100.0/24, 198.18.0.0/15), not to %q; set %s=%q to use it elsewhere",
		Notice, Variable, Lab, host, Variable, Anywhere)
}

var announced sync.Once

// Announce says once per process, at debug level, that a stand-in is at work.
func Announce(ctx context.Context) {
	announced.Do(func() { p.GetLogger(ctx).Debug("pulumi-resource-command: " + Notice) })
}
