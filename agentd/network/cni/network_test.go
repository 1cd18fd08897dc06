package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sys/unix"
)

// TestMain runs the tests in a network namespace of their own, so that they neither find nor leave anything on the machine.
func TestMain(m *testing.M) {
	const inside = "RUTTER_CNI_TEST_INSIDE"
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "NOT ROOT: the tests of networks are SKIPPED")
		return
	}
	if os.Getenv(inside) != "" {
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			fmt.Fprintln(os.Stderr, "loopback:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests' own network namespace:", err)
		os.Exit(1)
	}
}

func newNetwork(t *testing.T) *Network {
	t.Helper()
	n, err := New(Config{Dir: t.TempDir(), Subnet: netip.MustParsePrefix("10.99.1.0/24"), Bridge: "rtrtest0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sandboxes, err := n.List()
		if err != nil {
			t.Error(err)
		}
		for _, s := range sandboxes {
			if err := n.Del(context.Background(), s.Instance); err != nil {
				t.Error(err)
			}
		}
		if err := n.Reset(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// traces is everything of the network that outlives a process.
func traces(t *testing.T, n *Network) string {
	t.Helper()
	var all []string
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name != n.config.Bridge {
			all = append(all, "link "+l.Name)
		}
	}
	for _, family := range []string{"nat", "filter"} {
		out, err := exec.Command("iptables", "-w", "-t", family, "-S").Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			// The port plugin's own chains are the node's; they are made once.
			if !strings.Contains(line, "CNI-HOSTPORT") {
				all = append(all, family+" "+strings.TrimSpace(line))
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, n.config.Dir) {
			all = append(all, "mount "+line)
		}
	}
	for _, dir := range []string{"sandboxes", "netns", "leases/" + networkName, "cache/results"} {
		files, err := os.ReadDir(filepath.Join(n.config.Dir, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Name() != "lock" && !strings.HasPrefix(f.Name(), "last_reserved_ip") {
				all = append(all, dir+"/"+f.Name())
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func want(instance string, hostPort int) runtime.SandboxConfig {
	c := runtime.SandboxConfig{Instance: instance, Labels: map[string]string{"workload": "web"}}
	if hostPort > 0 {
		c.Ports = []spec.Port{{ContainerPort: 80, HostPort: hostPort, Protocol: spec.TCP}, {ContainerPort: 81, Protocol: spec.TCP}}
	}
	return c
}

func TestASandboxLeavesNothing(t *testing.T) {
	n, ctx := newNetwork(t), context.Background()
	before := traces(t, n)
	s, err := n.Add(ctx, want("default.web-0-1", 18080))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Addresses) != 1 || !n.config.Subnet.Contains(s.Addresses[0]) || !isNamespace(s.NetNSPath) {
		t.Errorf("sandbox %+v", s)
	}
	again, err := n.Add(ctx, want("default.web-0-1", 18080))
	if err != nil || !slices.Equal(again.Addresses, s.Addresses) {
		t.Errorf("added again: %+v, %v; want %v", again, err, s.Addresses)
	}
	if listed, err := n.List(); err != nil || len(listed) != 1 || listed[0].Labels["workload"] != "web" {
		t.Errorf("List: %+v, %v", listed, err)
	}
	for range 2 {
		if err := n.Del(ctx, "default.web-0-1"); err != nil {
			t.Fatal(err)
		}
	}
	if after := traces(t, n); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// The first sandboxes of a node come all at once, when there is no bridge yet.
func TestTheFirstSandboxesMayComeAtOnce(t *testing.T) {
	n := newNetwork(t)
	before := traces(t, n)
	const many = 12
	addresses := make([]netip.Addr, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			port := 0
			if i%2 == 0 {
				port = 19000 + i
			}
			s, err := n.Add(context.Background(), want(fmt.Sprintf("default.web-%d-1", i), port))
			if err != nil {
				t.Errorf("sandbox %d: %v", i, err)
				return
			}
			addresses[i] = s.Addresses[0]
		})
	}
	all.Wait()
	slices.SortFunc(addresses, netip.Addr.Compare)
	if n := len(slices.Compact(slices.Clone(addresses))); n != many {
		t.Errorf("%d addresses for %d sandboxes: %v", n, many, addresses)
	}
	for i := range many {
		all.Go(func() {
			if err := n.Del(context.Background(), fmt.Sprintf("default.web-%d-1", i)); err != nil {
				t.Errorf("sandbox %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if after := traces(t, n); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

func TestWhatACrashLeavesIsTakenUpOrAway(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash func(t *testing.T, n *Network, s runtime.Sandbox)
	}{
		{"nothing yet but the file", func(t *testing.T, n *Network, s runtime.Sandbox) {
			if err := n.Del(context.Background(), s.Instance); err != nil {
				t.Fatal(err)
			}
			if err := n.save(sandbox{Instance: s.Instance}); err != nil {
				t.Fatal(err)
			}
		}},
		{"all but the end of the file", func(t *testing.T, n *Network, s runtime.Sandbox) {
			kept, err := n.load(s.Instance)
			if err != nil {
				t.Fatal(err)
			}
			kept.Addresses = nil
			if err := n.save(kept); err != nil {
				t.Fatal(err)
			}
		}},
		{"the file torn", func(t *testing.T, n *Network, s runtime.Sandbox) {
			if err := os.WriteFile(n.file(s.Instance), []byte(`{"inst`), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"the machine restarted: no namespace", func(t *testing.T, n *Network, s runtime.Sandbox) {
			if err := unix.Unmount(s.NetNSPath, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for _, then := range []string{"removed", "made again"} {
			t.Run(c.name+", "+then, func(t *testing.T) {
				n, ctx := newNetwork(t), context.Background()
				before := traces(t, n)
				config := want("default.web-0-1", 18081)
				s, err := n.Add(ctx, config)
				if err != nil {
					t.Fatal(err)
				}
				c.crash(t, n, s)
				if then == "made again" {
					if s, err = n.Add(ctx, config); err != nil || len(s.Addresses) != 1 || !isNamespace(s.NetNSPath) {
						t.Errorf("made again: %+v, %v", s, err)
					}
				}
				if err := n.Del(ctx, config.Instance); err != nil {
					t.Fatal(err)
				}
				if after := traces(t, n); after != before {
					t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

// A subnet without an address left says so, and what was begun is gone.
func TestAFullSubnetLeavesNothing(t *testing.T) {
	n, err := New(Config{Dir: t.TempDir(), Subnet: netip.MustParsePrefix("10.99.2.0/30"), Bridge: "rtrtest1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Reset(); err != nil {
			t.Error(err)
		}
	})
	if _, err := n.Add(context.Background(), want("default.a", 0)); err != nil {
		t.Fatal(err)
	}
	one := traces(t, n)
	if _, err := n.Add(context.Background(), want("default.b", 18082)); err == nil {
		t.Error("a second sandbox in a subnet for one")
	}
	if after := traces(t, n); after != one {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, one)
	}
	if err := n.Del(context.Background(), "default.a"); err != nil {
		t.Fatal(err)
	}
}

func TestInitMayBeRepeatedAndResetTakesAllAway(t *testing.T) {
	n := newNetwork(t)
	once := traces(t, n)
	if err := n.Init(); err != nil {
		t.Fatal(err)
	}
	if twice := traces(t, n); twice != once {
		t.Errorf("the second Init changed\n%s\nto\n%s", once, twice)
	}
	for range 2 {
		if err := n.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	if left := traces(t, n); strings.Contains(left, "MASQUERADE") {
		t.Errorf("after Reset:\n%s", left)
	}
}

func TestAMissingPluginIsNamedWithItsPackage(t *testing.T) {
	n, err := New(Config{Dir: t.TempDir(), Subnet: netip.MustParsePrefix("10.99.3.0/24"), PluginDirs: []string{t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Init(); !errors.Is(err, runtime.ErrPreflight) || !strings.Contains(err.Error(), "containernetworking-plugins") {
		t.Errorf("Init: %v", err)
	}
}
