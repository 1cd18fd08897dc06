package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/agentd/image"
	"github.com/rutter-run/rutter/agentd/network/cni"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/runc"
	"github.com/rutter-run/rutter/agentd/runtime/sim"
	"github.com/rutter-run/rutter/internal/boot"
)

// runtimeFlags say what runs the containers.
type runtimeFlags struct {
	name     string
	subnet   string
	bridge   string
	insecure []string
	collect  image.Collection
	quiet    time.Duration
}

func (f *runtimeFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "runtime", "runc", "OCI runtime: runc, crun or a path; or sim, which only keeps book and needs no root")
	flags.StringVar(&f.subnet, "subnet", "10.87.0.0/24", "of the node's instances; each node has one of its own")
	flags.StringVar(&f.bridge, "bridge", "rutter0", "network bridge that the instances hang on")
	flags.StringSliceVar(&f.insecure, "insecure-registry", nil, "registries that are asked over HTTP; those on loopback and private addresses are anyway")
	flags.DurationVar(&f.quiet, "registry-timeout", 30*time.Second, "a registry that sends nothing for so long is given up, and tried again later")
	flags.IntVar(&f.collect.High, "image-gc-high", 85, "percent of the disk in use above which unused images are removed; 0: never")
	flags.IntVar(&f.collect.Low, "image-gc-low", 80, "and below which no more are")
	flags.DurationVar(&f.collect.MinAge, "image-gc-min-age", 2*time.Minute, "images used more recently stay")
}

// build makes the runtime that the flags ask for, below a node's data directory.
func (f *runtimeFlags) build(dir string, log *logrus.Entry) (rt.Runtime, error) {
	subnet, err := parseSubnet(f.subnet)
	if err != nil {
		return nil, err
	}
	if f.name == "sim" {
		return sim.New(sim.Config{Subnet: subnet}), nil
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("runtime: containers need root: run this as root, or try it without containers by --runtime sim")
	}
	images, err := image.New(image.Config{Dir: filepath.Join(dir, "images"), Insecure: f.insecure, Quiet: f.quiet, Collection: f.collect})
	if err != nil {
		return nil, err
	}
	network, err := cni.New(cni.Config{Dir: filepath.Join(dir, "network"), Bridge: f.bridge, Subnet: subnet})
	if err != nil {
		return nil, err
	}
	return runc.New(runc.Config{Dir: filepath.Join(dir, "runtime"), Binary: f.name, ShimBinary: shimBinary(), Images: images, Networks: network, Log: log})
}

// shimBinary is the small program of the shim where it lies beside this one, and else this one itself.
func shimBinary() []string {
	self, err := os.Executable()
	if err == nil {
		small := filepath.Join(filepath.Dir(self), "rutter-shim")
		if info, err := os.Stat(small); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return []string{small}
		}
	}
	return []string{"/proc/self/exe", "shim"}
}

// newNodeResetCommand takes away what an agent leaves behind for the next one.
func newNodeResetCommand() *cobra.Command {
	f, data, grace := &runtimeFlags{}, "", time.Duration(0)
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		flags.StringVar(&data, "data-dir", filepath.Join(dataDir(), "node"), "of the node")
		flags.DurationVar(&grace, "grace", 10*time.Second, "from stop signal to kill")
	}
	long := "Stop and remove every container, network and mount of a node whose agent does not run, before the machine gets another job. Images and credentials stay."
	return newServerCommand("node-reset", "Remove every container and network of a node", long, define, func(ctx context.Context, p *process) error {
		release, err := boot.LockDir(data, "node-reset")
		if err != nil {
			return err
		}
		defer release()
		r, err := f.build(data, p.log)
		if err != nil {
			return err
		}
		defer closeRuntime(r, p.log)
		if err := reset(ctx, r, grace); err != nil {
			return err
		}
		if s, ok := r.(interface{ Reset() error }); ok {
			return s.Reset()
		}
		return nil
	})
}

func reset(ctx context.Context, r rt.Runtime, grace time.Duration) error {
	containers, err := r.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range containers {
		if err := r.Stop(ctx, c.ID, "", grace); err != nil && !errors.Is(err, rt.ErrNotFound) {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.ID, err))
		}
		if err := r.Remove(ctx, c.ID); err != nil && !errors.Is(err, rt.ErrNotFound) {
			errs = append(errs, fmt.Errorf("remove %s: %w", c.ID, err))
		}
	}
	sandboxes, err := r.ListSandboxes(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, s := range sandboxes {
		if err := r.RemoveSandbox(ctx, s.Instance); err != nil {
			errs = append(errs, fmt.Errorf("remove the network of %s: %w", s.Instance, err))
		}
	}
	return errors.Join(errs...)
}
