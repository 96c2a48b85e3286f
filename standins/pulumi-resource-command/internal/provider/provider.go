// Package provider puts the stand-in's resources together.
package provider

import (
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/middleware/schema"

	"sealos-istio/standins/pulumi-resource-command/internal/local"
	"sealos-istio/standins/pulumi-resource-command/internal/remote"
	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

// Name is the package name, the real provider's: programs find the stand-in under it.
const Name = "command"

// New returns the provider.
func New() p.Provider {
	return infer.Provider(infer.Options{
		Metadata: schema.Metadata{
			DisplayName: "Command (stand-in of sealos-istio's lab)",
			Description: standin.Notice + ". Same tokens, inputs, outputs and habits as version 1.2.1.",
			Keywords:    []string{"stand-in"},
			Publisher:   "sealos-istio",
		},
		Resources: []infer.InferredResource{
			infer.Resource(&local.Command{}),
			infer.Resource(&remote.Command{}),
			infer.Resource(&remote.CopyToRemote{}),
		},
		Functions: []infer.InferredFunction{infer.Function(&local.Run{})},
	})
}
