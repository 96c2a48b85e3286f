//go:build tools

// Package tools pins what build.sh builds.
package tools

import _ "istio.io/istio/istioctl/cmd/istioctl"
