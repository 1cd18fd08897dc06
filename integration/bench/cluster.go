package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/internal/testimage"
	"github.com/rutter-run/rutter/services/nodehealth"
)

// loss measures from the outright death of a node to its instances' replacements running, with the default settings.
func (b *bench) loss() (err error) {
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
	c, err := cluster.Start(b.ctx, cluster.Options{Name: namespace, Dir: filepath.Join(b.dir, "cluster"), Binary: b.binary, Servers: 1, Nodes: 3, Runtime: "runc"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	door, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := b.apply(door, pinned, 3); err != nil {
		return err
	}
	var all []time.Duration
	for _, node := range c.Nodes {
		begin := time.Now()
		if err := node.Die(); err != nil {
			return err
		}
		died := time.Since(begin) // killing a whole family takes a moment; the clock runs from its begin
		if err := b.replaced(door, node.Name); err != nil {
			return err
		}
		all = append(all, time.Since(begin))
		fmt.Fprintf(os.Stderr, "bench: %s dead within %s, replaced after %s\n", node.Name, died.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		if err := node.Agent.Start(); err != nil {
			return err
		}
		if err := b.nodeReady(door, node.Name); err != nil {
			return err
		}
	}
	timing := nodehealth.Timing{}.Default()
	figure{
		Figure: "node death to replacement running", Value: milliseconds(median(all)), Unit: "ms", Floor: milliseconds(timing.LostAfter), What: "silence until a node counts as lost, by default",
		Aim:  "< 3000 ms",
		Note: fmt.Sprintf("defaults: heartbeat every %s, suspected after %s, lost after %s; a node that stalls for %s without dying is replaced by mistake", timing.Interval, timing.SuspectAfter, timing.LostAfter, timing.LostAfter),
	}.print()
	return nil
}

// replaced waits until three instances are ready and none of them is on the dead node.
func (b *bench) replaced(door *client.Client, dead string) error {
	return door.Await(b.ctx, client.Filter{}, func(ctx context.Context, sequence uint64) (bool, error) {
		list, err := door.Instances(ctx, client.Selection{Workload: name, Sequence: sequence})
		if err != nil {
			return false, err
		}
		ready := 0
		for _, i := range list.Items {
			if i.Wished && i.Phase == spec.PhaseReady && i.Node != dead {
				ready++
			}
		}
		return ready == 3, nil
	})
}

func (b *bench) nodeReady(door *client.Client, node string) error {
	return cluster.Until(b.ctx, time.Minute, node+" to be back", func(ctx context.Context) error {
		n, err := door.Node(ctx, node, 0)
		if err == nil && n.State != "Ready" {
			err = errors.New("it is " + n.State)
		}
		return err
	})
}

// idle measures the memory of a whole one-node cluster in one process with nothing to do.
func (b *bench) idle() (err error) {
	log, err := os.Create(filepath.Join(b.dir, "up.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(b.ctx, b.binary, "up", "--data-dir", filepath.Join(b.dir, "data"), "--node", "solo")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		stopErr := cmd.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, stopErr, cmd.Wait())
	}()
	err = cluster.Until(b.ctx, time.Minute, "up to take work", func(ctx context.Context) error {
		config, err := client.FindConfig(client.Config{}, filepath.Join(b.dir, "data", "client.json"))
		if err != nil {
			return err
		}
		door, err := client.New(config)
		if err != nil {
			return err
		}
		n, err := door.Node(ctx, "solo", 0)
		if err == nil && n.State != "Ready" {
			err = errors.New("it is " + n.State)
		}
		return err
	})
	if err != nil {
		return err
	}
	// Idle means some time after the start: the figure is of a process at rest.
	select {
	case <-time.After(15 * time.Second):
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	rss, err := resident(cmd.Process.Pid)
	if err != nil {
		return err
	}
	figure{Figure: "rutter up idle, resident memory", Value: float64(rss) / (1 << 20), Unit: "MiB", Aim: "< 100 MiB"}.print()
	return nil
}

// resident is a process's resident memory in bytes (proc(5), VmRSS).
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}
