package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/agentd/image"
	"github.com/rutter-run/rutter/agentd/network/cni"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/internal/testimage"
)

const (
	rounds   = 11 // of single starts; the median counts
	many     = 50
	parallel = 4
	registry = "10.77.0.1:5000"
)

// starts measures from the apply to all running, for 1 and for 50 replicas, against raw `runc run` in a network made by the same CNI
// plugins from the same image.
func (b *bench) starts() error {
	images, err := testimage.Serve(registry)
	if err != nil {
		return err
	}
	defer images.Close()
	web, err := testimage.Web()
	if err != nil {
		return err
	}
	pinned, err := images.Push(b.ctx, "web", "1", web)
	if err != nil {
		return err
	}
	c, err := cluster.Start(b.ctx, cluster.Options{Name: namespace, Dir: filepath.Join(b.dir, "cluster"), Binary: b.binary, Servers: 1, Nodes: 1, Runtime: "runc"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	door, err := c.Client()
	if err != nil {
		return err
	}
	floor, err := newFloor(b.ctx, filepath.Join(b.dir, "floor"), pinned)
	if err != nil {
		return err
	}
	// The first pulls the image.
	if _, err := b.apply(door, pinned, 1); err != nil {
		return err
	}
	if err := b.remove(door); err != nil {
		return err
	}
	if err := b.compare(door, pinned, floor, c.Nodes[0].DataDir, 1, rounds, 2); err != nil {
		return err
	}
	return b.compare(door, pinned, floor, c.Nodes[0].DataDir, many, 3, 1.5)
}

// compare measures so many replicas against two floors in turn: a bare `runc spec`, and the very OCI configuration that the product gives
// its containers, with its system call filter and limits, for which the bare one lets everything through.
func (b *bench) compare(door *client.Client, ref string, f *floor, node string, replicas, rounds int, aim float64) error {
	var ours, bare, own []time.Duration
	var shims shimMemory
	for i := range rounds {
		took, err := b.apply(door, ref, replicas)
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if i == 0 {
			if f.own, err = productConfig(node); err != nil {
				return err
			}
			if shims, err = measureShims(node); err != nil {
				return err
			}
		}
		if err := b.remove(door); err != nil {
			return err
		}
		if took, err = f.start(fmt.Sprintf("bare-%d-%d", replicas, i), replicas, f.bare); err != nil {
			return err
		}
		bare = append(bare, took)
		if took, err = f.start(fmt.Sprintf("own-%d-%d", replicas, i), replicas, f.own); err != nil {
			return err
		}
		own = append(own, took)
	}
	name := fmt.Sprintf("apply to running, %d replicas", replicas)
	figure{
		Figure: name, Value: milliseconds(median(ours)), Unit: "ms", Floor: milliseconds(median(bare)),
		What: "runc run of a bare `runc spec` in the same CNI network, four at a time", Aim: fmt.Sprintf("ratio ≤ %v", aim),
	}.print()
	figure{
		Figure: name, Value: milliseconds(median(ours)), Unit: "ms", Floor: milliseconds(median(own)),
		What: "runc run of the product's own OCI configuration in the same CNI network, four at a time",
	}.print()
	shims.print(replicas)
	return nil
}

const name = "bench"

// apply asks for so many replicas and waits until all are ready, as a client sees it.
func (b *bench) apply(door *client.Client, ref string, replicas int) (time.Duration, error) {
	parsed, err := spec.ParseImage(ref)
	if err != nil {
		return 0, err
	}
	w := spec.Workload{APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name}, Spec: spec.WorkloadSpec{
		Replicas: &replicas, GracePeriod: spec.Duration(time.Millisecond), Containers: []spec.Container{{Name: "web", Image: parsed}},
	}}
	w.Default()
	// The stream of events stands before the clock starts, as it does for a client that watches.
	ready, watching := make(chan error, 1), make(chan struct{})
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	go func() {
		first := true
		ready <- door.Await(ctx, client.Filter{Workload: name}, func(ctx context.Context, sequence uint64) (bool, error) {
			if first {
				first = false
				close(watching)
			}
			got, err := door.Workload(ctx, spec.DefaultNamespace, name, sequence)
			var problem *api.Problem
			if errors.As(err, &problem) && problem.Status == 404 {
				return false, nil
			}
			return err == nil && got.Status.State == api.WorkloadReady, err
		})
	}()
	select {
	case <-watching:
	case err := <-ready:
		return 0, err
	}
	begin := time.Now()
	if _, err := door.Apply(ctx, w, client.Options{}); err != nil {
		return 0, err
	}
	err = <-ready
	return time.Since(begin), err
}

func (b *bench) remove(door *client.Client) error {
	if _, err := door.Delete(b.ctx, spec.DefaultNamespace, name, client.Options{}); err != nil {
		return err
	}
	return cluster.Until(b.ctx, time.Minute, "the workload to be gone", func(ctx context.Context) error {
		list, err := door.Workloads(ctx, client.Selection{})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("it is " + string(list.Items[0].Status.State))
		}
		return err
	})
}

// floor starts containers with nothing but the OCI runtime, overlayfs and the CNI plugins.
type floor struct {
	ctx   context.Context
	dir   string
	store *image.Store
	image rt.Image
	net   *cni.Network
	bare  specs.Spec
	own   specs.Spec // the product's, once there is one
}

func newFloor(ctx context.Context, dir, ref string) (*floor, error) {
	store, err := image.New(image.Config{Dir: filepath.Join(dir, "images")})
	if err != nil {
		return nil, err
	}
	parsed, err := spec.ParseImage(ref)
	if err != nil {
		return nil, err
	}
	pulled, err := store.Pull(ctx, parsed, nil)
	if err != nil {
		return nil, err
	}
	network, err := cni.New(cni.Config{Dir: filepath.Join(dir, "network"), Bridge: "rtr-floor", Subnet: netip.MustParsePrefix("10.89.0.0/24")})
	if err != nil {
		return nil, err
	}
	if err := network.Init(); err != nil {
		return nil, err
	}
	template := filepath.Join(dir, "template")
	if err := os.MkdirAll(template, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "runc", "spec", "--bundle", template).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("runc spec: %w: %s", err, out)
	}
	bare, err := readSpec(filepath.Join(template, "config.json"))
	if err != nil {
		return nil, err
	}
	bare.Process.Args, bare.Process.Terminal, bare.Root.Readonly = []string{"/bin/httpd", "-f", "-p", "8080", "-h", "/www"}, false, false
	return &floor{ctx: ctx, dir: dir, store: store, image: pulled, net: network, bare: bare}, nil
}

func readSpec(path string) (s specs.Spec, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// productConfig is the OCI configuration of one of the containers that run on the node.
func productConfig(node string) (s specs.Spec, err error) {
	all, err := filepath.Glob(filepath.Join(node, "runtime", "containers", "*", "config.json"))
	if err != nil {
		return s, err
	}
	if len(all) == 0 {
		return s, fmt.Errorf("no container below %s", node)
	}
	return readSpec(all[0])
}

// start starts n containers, four at a time, and returns how long that took; then it removes them.
func (f *floor) start(prefix string, n int, config specs.Spec) (time.Duration, error) {
	begin := time.Now()
	var group errgroup.Group
	group.SetLimit(parallel)
	for i := range n {
		group.Go(func() error { return f.one(fmt.Sprintf("%s-%d", prefix, i), config) })
	}
	err := group.Wait()
	took := time.Since(begin)
	for i := range n {
		err = errors.Join(err, f.remove(fmt.Sprintf("%s-%d", prefix, i)))
	}
	return took, err
}

func (f *floor) one(id string, config specs.Spec) error {
	sandbox, err := f.net.Add(f.ctx, rt.SandboxConfig{Instance: id})
	if err != nil {
		return err
	}
	bundle := filepath.Join(f.dir, id)
	if err := f.store.Mount(f.image, filepath.Join(bundle, "upper"), filepath.Join(bundle, "work"), filepath.Join(bundle, "rootfs")); err != nil {
		return err
	}
	linux := *config.Linux
	linux.Namespaces, linux.CgroupsPath = slices.Clone(linux.Namespaces), "/rutter-floor/"+id
	config.Linux = &linux
	// The files of /etc that the product's configuration binds are those of an instance that is gone.
	config.Mounts = slices.Clone(config.Mounts)
	for i, m := range config.Mounts {
		if name, ok := strings.CutPrefix(m.Destination, "/etc/"); ok {
			config.Mounts[i].Source = filepath.Join(f.dir, name)
			if err := os.WriteFile(config.Mounts[i].Source, nil, 0o644); err != nil {
				return err
			}
		}
	}
	for i, ns := range config.Linux.Namespaces {
		if ns.Type == specs.NetworkNamespace {
			config.Linux.Namespaces[i].Path = sandbox.NetNSPath
		}
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(f.ctx, "runc", "--root", filepath.Join(f.dir, "runc"), "run", "--detach", "--bundle", bundle, id)
	return cmd.Run()
}

func (f *floor) remove(id string) error {
	out, err := exec.Command("runc", "--root", filepath.Join(f.dir, "runc"), "delete", "--force", id).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("runc delete %s: %w: %s", id, err, out)
	}
	return errors.Join(err, f.store.Unmount(filepath.Join(f.dir, id, "rootfs")), f.net.Del(f.ctx, id))
}
