// Command registry builds the example's image on the spot, from the system's static busybox, and serves it from a registry on loopback until it is
// interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rutter-run/rutter/internal/testimage"
)

func main() {
	address := flag.String("address", "127.0.0.1:5000", "to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	web, err := testimage.Web()
	if err != nil {
		return err
	}
	registry, err := testimage.Serve(address)
	if err != nil {
		return err
	}
	ref, err := registry.Push(ctx, "web", "1", web)
	if err != nil {
		return err
	}
	fmt.Printf("serving %s; end with Ctrl-C\n", ref)
	<-ctx.Done()
	return registry.Close()
}
