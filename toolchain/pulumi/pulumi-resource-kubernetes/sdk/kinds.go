// Package v2 is what the Kubernetes provider uses of github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/yaml/v2. The published
// package registers each kind as a type of its own, from 63 generated packages; all of them have tokens of one form, and nothing in
// the provider reads a registered resource's outputs. build.sh puts this file in its place.
package v2

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// RegisterResource registers an object of any kind with the engine, as a child of the provider's own component resources.
func RegisterResource(ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input, opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	if apiVersion == "v1" {
		apiVersion = "core/v1"
	}
	var object pulumi.CustomResourceState
	if err := ctx.RegisterResource("kubernetes:"+apiVersion+":"+kind, name, props, &object, opts...); err != nil {
		return nil, err
	}
	return &object, nil
}
