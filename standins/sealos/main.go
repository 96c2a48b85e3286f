// Command sealos is the lab's stand-in for sealos v3.3.9: it keeps that program's contract (arguments, exit codes,
// files, order of the remote commands, bad habits included) so that the lab's offline package can be driven where
// no real sealos is at hand. README.md beside this file says what is kept and what is only played.
package main

import (
	"os"

	"sealos-istio/standins/sealos/cmd"
)

func main() { os.Exit(cmd.Execute()) }
