// The Kubernetes provider of Pulumi: its own serving function with its own schema, which build.sh copies here from the pinned module
// (the command in the module itself embeds generated files that the module does not carry).
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

// version is what the engine asks for: requirements.txt has the SDK of the same.
const version = "4.25.0"

func main() {
	provider.Serve("kubernetes", version, schema, terraformMapping)
}
