// Command rutter-shim is `rutter shim` as a program of its own, with nothing of the rest: it starts in a tenth of the time and takes a third of
// the memory. An agent that finds it beside its own program runs one of these for each container, and itself where there is none.
package main

import (
	"os"

	"github.com/rutter-run/rutter/agentd/shim"
)

func main() { os.Exit(shim.Main(os.Args[1:])) }
