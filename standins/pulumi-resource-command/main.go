// pulumi-resource-command is a STAND-IN for the Pulumi command provider 1.2.1, for the lab of sealos-istio, where
// the real plugin cannot be had. It has the real one's framework, tokens, inputs, outputs and habits, and runs
// nothing unless SEALOS_ISTIO_COMMAND_STANDIN says that it may (see README.md).
package main

import (
	"context"
	"fmt"
	"os"

	"sealos-istio/standins/pulumi-resource-command/internal/provider"
	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

// version is what the engine is told: the version of the real provider whose contract is kept.
const version = "1.2.1"

func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "--version", "-version", "version":
			fmt.Printf("%s (%s)\n", version, standin.Notice)
			return
		case "--help", "-help", "-h", "help":
			fmt.Printf("pulumi-resource-command %s: %s.\n\nThe Pulumi engine starts it; there is nothing to run by hand.\n"+
				"It runs commands only when %s is set:\n"+
				"  %s  local commands, and SSH to 127.0.0.0/8, ::1, 198.51.100.0/24, 198.18.0.0/15\n"+
				"  %q  everything\n", version, standin.Notice, standin.Variable, standin.Lab, standin.Anywhere)
			return
		}
	}
	if err := provider.New().Run(context.Background(), provider.Name, version); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-command:", err)
		os.Exit(1)
	}
}
