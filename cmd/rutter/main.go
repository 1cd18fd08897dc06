package main

import (
	"context"
	"os"

	"github.com/rutter-run/rutter/agentd/shim"
)

// version is set by the linker.
var version = "dev"

func main() {
	// A shim runs beside every container: it starts before anything else of the binary is set up.
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2:]))
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, serverCommands()...))
}
