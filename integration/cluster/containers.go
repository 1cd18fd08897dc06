package cluster

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Running is a container's first process as the kernel knows it: the truth that the log is held against.
type Running struct {
	PID      int
	Shim     int    // its parent
	Instance string // namespace/name, from its environment
}

// Running lists the containers that run on the node, whatever anybody believes: the first processes of process namespaces below it.
func (n *Node) Running() []Running {
	parents := parents()
	var all []Running
	for _, pid := range family(n.Namespace) {
		if !firstOfNamespace(pid) {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // it has ended meanwhile
		}
		r := Running{PID: pid, Shim: parents[pid], Instance: variable(env, "RUTTER_NAMESPACE") + "/" + variable(env, "RUTTER_INSTANCE")}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Running) int { return strings.Compare(a.Instance, b.Instance) })
	return all
}

// firstOfNamespace reports whether a process is number 1 of a process namespace of its own.
func firstOfNamespace(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			ids := strings.Fields(rest)
			return len(ids) > 1 && ids[len(ids)-1] == "1"
		}
	}
	return false
}

func variable(environ []byte, name string) string {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
			return string(value)
		}
	}
	return ""
}

// KillProcess kills one process outright.
func KillProcess(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	return nil
}
