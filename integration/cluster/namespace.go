// Package cluster runs a real cluster on one machine, for the demo, the end-to-end tests and the benchmarks: the binary's own processes, a
// NATS cluster, and nodes that are separate hosts as far as Linux can make them, each with its own network namespace, data directory
// and subnet. All of it lives in a network namespace of its own, so nothing it sends leaves it.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Addresses inside the cluster's own namespaces.
const (
	bridge    = "rtr-hub"
	hubIP     = "10.77.0.1"
	prefixLen = "/24"
)

// NodeIP is the address of the nth node, from 1.
func NodeIP(n int) string { return fmt.Sprintf("10.77.0.%d", 10+n) }

// NodeSubnet is the subnet of the nth node's instances, from 1.
func NodeSubnet(n int) string { return fmt.Sprintf("10.88.%d.0/24", n) }

// enteredEnv marks a process that runs in the hub's namespace already.
const enteredEnv = "RUTTER_CLUSTER_NAMESPACE"

// Enter makes the hub's network namespace and runs this very program again inside it, with the same arguments. In the second program it
// returns at once with entered true; in the first it returns with the exit code of the second, the namespace gone.
func Enter(name string) (entered bool, code int, err error) {
	if os.Getenv(enteredEnv) == name {
		return true, 0, setUpHub()
	}
	if os.Geteuid() != 0 {
		return false, 1, errors.New("network namespaces need root: run it as root, or with sudo")
	}
	_ = run("ip", "netns", "del", name) // of a run that was killed
	if err := run("ip", "netns", "add", name); err != nil {
		return false, 1, err
	}
	defer func() { err = errors.Join(err, run("ip", "netns", "del", name)) }()
	self, err := os.Executable()
	if err != nil {
		return false, 1, err
	}
	// nsenter and not `ip netns exec`: the mounts must stay the host's, as they are for an agent on a host of its own.
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + name, self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), enteredEnv+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// An interrupt goes to the whole process group, the second program included; the first only waits for it to clean up.
	ignored := ignoreInterrupts()
	defer ignored()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, exit.ExitCode(), nil
	}
	return false, 0, err
}

// setUpHub makes the bridge that the nodes hang on.
func setUpHub() error {
	if exec.Command("ip", "link", "show", bridge).Run() == nil {
		return nil
	}
	return runAll([][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", bridge, "type", "bridge"},
		{"ip", "addr", "add", hubIP + prefixLen, "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1"},
	})
}

// addNode makes a node's network namespace and hangs it on the bridge.
func addNode(namespace string, n int) error {
	outer, ip := fmt.Sprintf("rtr-n%d", n), NodeIP(n)
	removeNode(namespace, n)
	return runAll([][]string{
		{"ip", "netns", "add", namespace},
		{"ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace},
		{"ip", "link", "set", outer, "master", bridge, "up"},
		{"ip", "-n", namespace, "link", "set", "lo", "up"},
		{"ip", "-n", namespace, "addr", "add", ip + prefixLen, "dev", "eth0"},
		{"ip", "-n", namespace, "link", "set", "eth0", "up"},
		{"ip", "-n", namespace, "route", "add", "default", "via", hubIP},
		{"ip", "route", "replace", NodeSubnet(n), "via", ip, "dev", bridge},
	})
}

func removeNode(namespace string, n int) {
	_ = run("ip", "netns", "del", namespace)                // may never have been
	_ = run("ip", "link", "del", fmt.Sprintf("rtr-n%d", n)) // goes with its peer; may be gone already
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func runAll(commands [][]string) error {
	for _, c := range commands {
		if err := run(c[0], c[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// family lists the processes in a network namespace and all their descendants: of a node its agent, its shims and its containers, which
// have network namespaces of their own.
func family(namespace string) []int {
	out, err := exec.Command("ip", "netns", "pids", namespace).Output()
	if err != nil {
		return nil
	}
	in := map[int]bool{}
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			in[pid] = true
		}
	}
	parents := parents()
	// A child may come before its parent in any order, so go on until nothing is added.
	for added := true; added; {
		added = false
		for pid, parent := range parents {
			if in[parent] && !in[pid] {
				in[pid], added = true, true
			}
		}
	}
	pids := make([]int, 0, len(in))
	for pid := range in {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// parents maps every process to its parent.
func parents() map[int]int {
	all := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		text := string(data)
		var pid, ppid int
		var state string
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		if open < 0 || end < 0 {
			continue
		}
		if _, err := fmt.Sscan(text[:open], &pid); err != nil {
			continue
		}
		if _, err := fmt.Sscan(text[end+1:], &state, &ppid); err != nil || state == "Z" {
			continue
		}
		all[pid] = ppid
	}
	return all
}

// killFamily kills every process of a namespace outright and returns once they are gone.
func killFamily(namespace string) error {
	for range 100 {
		pids := family(namespace)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its parent
		}
		waitGone(pids, time.Second)
	}
	return fmt.Errorf("processes of %s do not end: %v", namespace, family(namespace))
}

func waitGone(pids []int, most time.Duration) {
	deadline := time.Now().Add(most)
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil && time.Now().Before(deadline) {
			if _, alive := parents()[pid]; !alive {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
