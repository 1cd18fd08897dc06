package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rutter-run/rutter/gateway/client"
)

// Options say what cluster to run.
type Options struct {
	Name    string // of the hub's network namespace
	Dir     string // for data and logs; the caller removes it
	Binary  string // rutter
	Servers int    // NATS servers: 1 or 3
	Nodes   int
	Runtime string   // runc or sim
	Agent   []string // further arguments of every agent
	// Deciders are further arguments of a service by its name.
	Deciders map[string][]string
}

// Cluster is a running cluster.
type Cluster struct {
	options   Options
	Servers   []*Process
	Services  map[string]*Process
	Nodes     []*Node
	processes []*Process
	twins     []*Process
}

// Node is a host of the cluster.
type Node struct {
	Name      string
	Number    int // from 1
	Namespace string
	DataDir   string
	Agent     *Process
	cluster   *Cluster
}

// The services that every cluster has.
var serviceNames = []string{"reconciler", "scheduler", "node-health", "gateway"}

const (
	gatewayAddress = "127.0.0.1:7480"
	clientPort     = 4222
	clusterPort    = 6222
	healthPort     = 7490
)

// Start makes keys and certificates and starts everything. Where it fails, what it started is stopped.
func Start(ctx context.Context, o Options) (c *Cluster, err error) {
	c = &Cluster{options: o, Services: map[string]*Process{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return c, err
	}
	if out, err := exec.CommandContext(ctx, o.Binary, "init", "--dir", c.keys(), "--host", hubIP, "--host", "127.0.0.1", "--gateway", "http://"+gatewayAddress).CombinedOutput(); err != nil {
		return c, fmt.Errorf("rutter init: %w: %s", err, out)
	}
	for i := range o.Servers {
		c.addServer(i)
	}
	for i, name := range serviceNames {
		c.addService(name, i)
	}
	for n := 1; n <= o.Nodes; n++ {
		if err := c.addNode(n); err != nil {
			return c, err
		}
	}
	for _, p := range c.processes {
		if err := p.Start(); err != nil {
			return c, err
		}
	}
	return c, c.waitReady(ctx)
}

func (c *Cluster) keys() string { return filepath.Join(c.options.Dir, "keys") }

func (c *Cluster) process(name, namespace string, args ...string) *Process {
	p := &Process{
		Name: name, namespace: namespace, command: append([]string{c.options.Binary}, args...),
		logFile: filepath.Join(c.options.Dir, "logs", name+".log"),
	}
	c.processes = append(c.processes, p)
	return p
}

func (c *Cluster) addServer(i int) {
	name := fmt.Sprintf("nats-%d", i+1)
	args := []string{
		"nats", "--name", name, "--data-dir", filepath.Join(c.options.Dir, name), "--keys", c.keys(),
		"--host", hubIP, "--port", fmt.Sprint(clientPort + i), "--replicas", fmt.Sprint(c.options.Servers),
	}
	if c.options.Servers > 1 {
		args = append(args, "--cluster-port", fmt.Sprint(clusterPort+i))
		for j := range c.options.Servers {
			args = append(args, "--route", fmt.Sprintf("nats://%s:%d", hubIP, clusterPort+j))
		}
	}
	c.Servers = append(c.Servers, c.process(name, "", args...))
}

func (c *Cluster) urls() string {
	urls := make([]string, c.options.Servers)
	for i := range urls {
		urls[i] = fmt.Sprintf("tls://%s:%d", hubIP, clientPort+i)
	}
	return strings.Join(urls, ",")
}

func (c *Cluster) addService(name string, i int) {
	args := []string{name, "--nats-url", c.urls(), "--keys", c.keys(), "--health-address", fmt.Sprintf("127.0.0.1:%d", healthPort+i)}
	if name == "gateway" {
		args = append(args, "--listen", gatewayAddress)
	}
	c.Services[name] = c.process(name, "", append(args, c.options.Deciders[name]...)...)
}

// StartTwin starts a second process of a service beside the first.
func (c *Cluster) StartTwin(service string) (*Process, error) {
	args := append([]string{service, "--nats-url", c.urls(), "--keys", c.keys(), "--holder", "twin"}, c.options.Deciders[service]...)
	p := c.process(service+"-twin", "", args...)
	c.twins = append(c.twins, p)
	return p, p.Start()
}

func (c *Cluster) addNode(n int) error {
	node := &Node{
		Name: fmt.Sprintf("node-%d", n), Number: n, Namespace: fmt.Sprintf("%s-n%d", c.options.Name, n),
		DataDir: filepath.Join(c.options.Dir, fmt.Sprintf("node-%d", n)), cluster: c,
	}
	if err := addNode(node.Namespace, n); err != nil {
		return err
	}
	args := append([]string{
		"agentd", "--node", node.Name, "--data-dir", node.DataDir, "--nats-url", c.urls(), "--nats-ca", filepath.Join(c.keys(), "ca.pem"),
		"--join-token-file", filepath.Join(c.keys(), "join.token"), "--node-address", NodeIP(n), "--subnet", NodeSubnet(n),
		"--runtime", c.options.Runtime, "--health-address", "127.0.0.1:7499",
	}, c.options.Agent...)
	node.Agent = c.process(node.Name, node.Namespace, args...)
	c.Nodes = append(c.Nodes, node)
	return nil
}

// Client speaks to the cluster's gateway.
func (c *Cluster) Client() (*client.Client, error) {
	config, err := client.FindConfig(client.Config{}, c.ClientFile())
	if err != nil {
		return nil, err
	}
	return client.New(config)
}

// ClientFile is where the CLI finds the gateway and its token.
func (c *Cluster) ClientFile() string { return filepath.Join(c.keys(), "client.json") }

// CLI runs the binary as a user would and returns what it prints.
func (c *Cluster) CLI(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.options.Binary, args...)
	cmd.Env = append(os.Environ(), "RUTTER_CLIENT_CONFIG="+c.ClientFile())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("rutter %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// waitReady waits until every service and every node is ready.
func (c *Cluster) waitReady(ctx context.Context) error {
	api, err := c.Client()
	if err != nil {
		return err
	}
	return Until(ctx, time.Minute, "the cluster to be ready", func(ctx context.Context) error {
		for _, p := range c.processes {
			if p.PID() == 0 {
				return fmt.Errorf("%s has ended; see %s", p.Name, p.Log())
			}
		}
		for i, name := range serviceNames {
			if _, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", healthPort+i)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		nodes, err := api.Nodes(ctx, client.Selection{})
		if err != nil {
			return err
		}
		ready := 0
		for _, n := range nodes.Items {
			if n.State == "Ready" {
				ready++
			}
		}
		if ready < len(c.Nodes) {
			return fmt.Errorf("%d of %d nodes are ready", ready, len(c.Nodes))
		}
		return nil
	})
}

// State is what a service says of its projection.
type State struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// State asks a service for its projection's sequence and hash.
func (c *Cluster) State(ctx context.Context, service string) (State, error) {
	var s State
	for i, name := range serviceNames {
		if name != service {
			continue
		}
		body, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/state", healthPort+i))
		if err != nil {
			return s, fmt.Errorf("state of %s: %w", service, err)
		}
		return s, json.Unmarshal(body, &s)
	}
	return s, fmt.Errorf("no service is called %s", service)
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

// Stop stops everything, the containers too, and takes the nodes' networks away.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.Nodes {
		n.Agent.Kill()
		errs = append(errs, n.Reset())
	}
	for _, p := range c.twins {
		errs = append(errs, p.Stop())
	}
	for _, name := range serviceNames {
		if p, ok := c.Services[name]; ok {
			errs = append(errs, p.Stop())
		}
	}
	for _, p := range c.Servers {
		p.Kill() // nothing is left to hand over
	}
	for _, n := range c.Nodes {
		errs = append(errs, killFamily(n.Namespace))
		removeNode(n.Namespace, n.Number)
	}
	c.Nodes, c.Servers, c.Services, c.twins = nil, nil, nil, nil // a second Stop has nothing left to do
	return errors.Join(errs...)
}

// Die kills the node outright: agent, shims and containers. It returns once nothing of it runs.
func (n *Node) Die() error { return killFamily(n.Namespace) }

// Reset removes what is left of the node's containers, networks and mounts, as an operator does before giving a machine another job.
func (n *Node) Reset() error {
	if err := killFamily(n.Namespace); err != nil {
		return err
	}
	if n.cluster.options.Runtime == "sim" {
		return nil
	}
	return run("nsenter", "--net=/run/netns/"+n.Namespace, n.cluster.options.Binary, "node-reset",
		"--data-dir", n.DataDir, "--subnet", NodeSubnet(n.Number), "--runtime", n.cluster.options.Runtime)
}

// Until tries until it succeeds, ctx is done or the time is up; the last error says what was missing.
func Until(ctx context.Context, most time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, err)
		}
	}
}
