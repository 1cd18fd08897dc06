// Command demo shows Rutter's main job on this machine: a cluster of real processes, nodes and containers, a workload on it, the death of a node, of
// every decider and of a log server while work goes on, and at the end the state rebuilt from the log, hash for hash.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rutter-run/rutter/integration/cluster"
)

const namespace = "rutter-demo"

func main() {
	binary := flag.String("binary", "bin/rutter", "the rutter to show")
	keep := flag.Bool("keep", false, "leave the cluster standing at the end, until Ctrl-C")
	flag.Parse()
	entered, code, err := cluster.Enter(namespace)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	if !entered {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *binary, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, keep bool) (err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rutter-demo-")
	if err != nil {
		return err
	}
	d := &demo{dir: dir, binary: binary, began: time.Now()}
	defer func() {
		d.say("clean up")
		cleanErr := d.cleanUp()
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			err = errors.Join(err, cleanErr, fmt.Errorf("the logs of every process are in %s", filepath.Join(dir, "logs")))
		default:
			err = errors.Join(err, cleanErr, os.RemoveAll(dir))
		}
	}()
	for _, step := range []func(context.Context) error{
		d.serveImages, d.startCluster, d.apply, d.call, d.loseNode, d.explain, d.killScheduler, d.killReconciler, d.killNATS,
		d.returnNode, d.lookBack, d.replay,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.summary()
	if keep {
		d.standing(ctx)
	}
	return nil
}
