//go:build tools

// Package tools names what is built, so that go.mod keeps it.
package tools

import _ "sigs.k8s.io/cri-tools/cmd/crictl"
