//go:build tools

// Package tools names what is built, so that go.mod keeps it.
package tools

import _ "github.com/projectcontour/contour/cmd/contour"
