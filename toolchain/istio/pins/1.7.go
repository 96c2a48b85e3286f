//go:build tools

// Package tools pins what build.sh runs and builds.
package tools

import (
	_ "github.com/go-bindata/go-bindata/go-bindata"
	_ "istio.io/istio/cni/cmd/install-cni"
	_ "istio.io/istio/cni/cmd/istio-cni"
	_ "istio.io/istio/cni/cmd/istio-cni-repair"
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/operator/cmd/operator"
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
	_ "istio.io/istio/tools/istio-iptables"
)
