package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/internal/testimage"
)

// demo is one showing.
type demo struct {
	dir         string
	binary      string
	began       time.Time
	registry    *testimage.Registry
	cluster     *cluster.Cluster
	api         *client.Client
	dead        *cluster.Node
	replaced    string // name of an instance that the death of its node replaced
	replacement string // of it
	intact      uint64 // last event before a node died
	results     []result
}

// result is a line of the summary.
type result struct{ what, figure string }

const workload = "web"

func (d *demo) say(format string, args ...any) {
	fmt.Printf("\n\033[1m▸ %s\033[0m\n", fmt.Sprintf(format, args...))
}

func (d *demo) note(what string, figure any) {
	text := fmt.Sprint(figure)
	if took, ok := figure.(time.Duration); ok {
		text = fmt.Sprintf("%.2f s", took.Seconds())
	}
	d.results = append(d.results, result{what, text})
	fmt.Printf("  %s: %s\n", what, text)
}

// rutter runs the command line and shows it and what it prints.
func (d *demo) rutter(ctx context.Context, args ...string) error {
	fmt.Printf("  $ rutter %s\n", strings.Join(args, " "))
	out, err := d.cluster.CLI(ctx, args...)
	for line := range strings.Lines(out) {
		fmt.Print("    ", line)
	}
	return err
}

func (d *demo) serveImages(ctx context.Context) error {
	d.say("an image built on the spot, served by a registry of our own")
	registry, err := testimage.Serve("10.77.0.1:5000")
	if err != nil {
		return err
	}
	d.registry = registry
	image, err := testimage.Web()
	if err != nil {
		return err
	}
	ref, err := registry.Push(ctx, workload, "1", image)
	if err != nil {
		return err
	}
	fmt.Println("  " + ref)
	return nil
}

func (d *demo) startCluster(ctx context.Context) error {
	d.say("three NATS servers, four services, three nodes: ten processes, each node with a network namespace of its own")
	start := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Name: namespace, Dir: d.dir, Binary: d.binary, Servers: 3, Nodes: 3, Runtime: "runc"})
	d.cluster = c
	if err != nil {
		return err
	}
	d.note("cluster ready after", time.Since(start))
	if d.api, err = c.Client(); err != nil {
		return err
	}
	return d.rutter(ctx, "get", "nodes")
}

const document = `apiVersion: rutter.run/v1
kind: Workload
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  gracePeriod: 1s
  containers:
    - name: web
      image: 10.77.0.1:5000/web:1
      ports: [{containerPort: 8080}]
      resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {memory: 64Mi}}
`

func (d *demo) apply(ctx context.Context) error {
	d.say("a workload of three replicas")
	file := filepath.Join(d.dir, "web.yaml")
	if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
		return err
	}
	start := time.Now()
	if err := d.rutter(ctx, "apply", "-f", file, "--reason", "show what it does"); err != nil {
		return err
	}
	d.note("apply to three ready", time.Since(start))
	return d.rutter(ctx, "get", "instances", "-o", "wide")
}

// instances are those that are wished for.
func (d *demo) instances(ctx context.Context) ([]api.Instance, error) {
	list, err := d.api.Instances(ctx, client.Selection{Namespace: spec.DefaultNamespace, Workload: workload})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(i api.Instance) bool { return !i.Wished }), nil
}

func (d *demo) call(ctx context.Context) error {
	d.say("every replica answers")
	return d.callAll(ctx)
}

func (d *demo) callAll(ctx context.Context) error {
	all, err := d.instances(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if len(i.Addresses) == 0 {
			return fmt.Errorf("%s has no address", i.Name)
		}
		url := "http://" + i.Addresses[0] + ":8080/"
		var answer string
		err := cluster.Until(ctx, 10*time.Second, i.Name+" to answer", func(ctx context.Context) error {
			var err error
			answer, err = fetch(ctx, url)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Printf("  GET %-26s → %s (on %s)\n", url, answer, i.Node)
		if answer != i.Name {
			return fmt.Errorf("%s answers as %q and not as %q", url, answer, i.Name)
		}
	}
	return nil
}

func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// settled waits until so many instances are ready and no other is wished for, none of them on a node that is dead.
func (d *demo) settled(ctx context.Context, n int) error {
	return cluster.Until(ctx, 2*time.Minute, fmt.Sprintf("%d ready instances", n), func(ctx context.Context) error {
		all, err := d.instances(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, i := range all {
			if i.Phase == spec.PhaseReady && (d.dead == nil || i.Node != d.dead.Name) {
				ready++
			}
		}
		if ready != n || len(all) != n {
			return fmt.Errorf("%d of %d wished instances are ready, want %d", ready, len(all), n)
		}
		return nil
	})
}

func (d *demo) loseNode(ctx context.Context) error {
	all, err := d.instances(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no instance to lose")
	}
	victim := all[0]
	i := slices.IndexFunc(d.cluster.Nodes, func(n *cluster.Node) bool { return n.Name == victim.Node })
	if i < 0 {
		return fmt.Errorf("%s is on %s, which is no node of ours", victim.Name, victim.Node)
	}
	node := d.cluster.Nodes[i]
	moment, err := d.api.Moment(ctx)
	if err != nil {
		return err
	}
	d.intact = moment.Sequence
	d.say("%s dies: agent, shims and containers killed outright, %s among them", node.Name, victim.Name)
	start := time.Now()
	if err := node.Die(); err != nil {
		return err
	}
	d.dead, d.replaced = node, victim.Name
	if err := d.settled(ctx, 3); err != nil {
		return err
	}
	d.note("node death to replacement running", time.Since(start))
	now, err := d.instances(ctx)
	if err != nil {
		return err
	}
	if i = slices.IndexFunc(now, func(i api.Instance) bool { return i.Replaces == d.replaced }); i < 0 {
		return fmt.Errorf("no instance replaces %s", d.replaced)
	}
	d.replacement = now[i].Name
	if err := d.rutter(ctx, "get", "nodes"); err != nil {
		return err
	}
	if err := d.rutter(ctx, "get", "instances", "-o", "wide"); err != nil {
		return err
	}
	return d.callAll(ctx)
}

// killWhileScaling asks for a scale, kills a process outright as the request goes out, starts it again as a supervisor would, and waits for the
// scale to be done.
func (d *demo) killWhileScaling(ctx context.Context, p *cluster.Process, replicas int) error {
	d.say("kill -9 %s while scaling to %d", p.Name, replicas)
	start := time.Now()
	killed := make(chan error, 1)
	go func() {
		p.Kill()
		killed <- p.Start()
	}()
	err := d.rutter(ctx, "scale", workload, "--replicas", fmt.Sprint(replicas), "--wait=false")
	if err := errors.Join(err, <-killed); err != nil {
		return err
	}
	if err := d.settled(ctx, replicas); err != nil {
		return err
	}
	d.note(fmt.Sprintf("scale to %d through the death of %s", replicas, p.Name), time.Since(start))
	return nil
}

func (d *demo) killScheduler(ctx context.Context) error {
	return d.killWhileScaling(ctx, d.cluster.Services["scheduler"], 5)
}

func (d *demo) killReconciler(ctx context.Context) error {
	return d.killWhileScaling(ctx, d.cluster.Services["reconciler"], 2)
}

func (d *demo) killNATS(ctx context.Context) error {
	return d.killWhileScaling(ctx, d.cluster.Servers[0], 4)
}

func (d *demo) returnNode(ctx context.Context) error {
	d.say("%s comes back: its old instances stay replaced", d.dead.Name)
	start := time.Now()
	if err := d.dead.Agent.Start(); err != nil {
		return err
	}
	err := cluster.Until(ctx, time.Minute, d.dead.Name+" to return", func(ctx context.Context) error {
		n, err := d.api.Node(ctx, d.dead.Name, 0)
		if err == nil && n.State != "Ready" {
			err = fmt.Errorf("%s is %s", n.Name, n.State)
		}
		if err == nil && n.Instances > 0 {
			err = fmt.Errorf("%s still holds %d revoked instances", n.Name, n.Instances)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.dead = nil
	d.note("node back and cleared", time.Since(start))
	return d.rutter(ctx, "get", "nodes")
}

func (d *demo) explain(ctx context.Context) error {
	d.say("why is there a %s?", d.replacement)
	return d.rutter(ctx, "why", "instance/"+d.replacement)
}

func (d *demo) lookBack(ctx context.Context) error {
	d.say("the cluster as it was before the node died, and what has changed since")
	then := strconv.FormatUint(d.intact, 10)
	if err := d.rutter(ctx, "get", "instances", "--at", then); err != nil {
		return err
	}
	if err := d.rutter(ctx, "diff", "--from", then); err != nil {
		return err
	}
	d.say("what became of %s?", d.replaced)
	return d.rutter(ctx, "history", "instance/"+d.replaced)
}

func (d *demo) replay(ctx context.Context) error {
	d.say("the state rebuilt from the first event on, in another process")
	start := time.Now()
	if err := d.rutter(ctx, "replay", "--verify"); err != nil {
		return err
	}
	d.note("replay verified in", time.Since(start))
	return nil
}

func (d *demo) summary() {
	d.say("summary")
	for _, r := range d.results {
		fmt.Printf("  %-48s %s\n", r.what, r.figure)
	}
	fmt.Printf("  %-48s %.1f s\n", "in all", time.Since(d.began).Seconds())
}

func (d *demo) standing(ctx context.Context) {
	d.say("the cluster stands; try, in another terminal, and end it here with Ctrl-C")
	prefix := fmt.Sprintf("nsenter --net=/run/netns/%s env RUTTER_CLIENT_CONFIG=%s %s", namespace, d.cluster.ClientFile(), d.binary)
	for _, verb := range []string{"get nodes", "get instances -o wide", "events -f", "logs -f " + workload, "scale web --replicas 8", "why workload/web"} {
		fmt.Printf("  %s %s\n", prefix, verb)
	}
	<-ctx.Done()
}

func (d *demo) cleanUp() error {
	var errs []error
	if d.cluster != nil {
		errs = append(errs, d.cluster.Stop())
	}
	if d.registry != nil {
		errs = append(errs, d.registry.Close())
	}
	return errors.Join(errs...)
}
