package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/integration/cluster"
)

// newUp makes a data directory for one test, and takes all that was run from it away in the end.
func newUp(t *testing.T) *up {
	t.Helper()
	needRoot(t)
	data, err := os.MkdirTemp("", "rutter-e2e-up-")
	if err != nil {
		t.Fatal(err)
	}
	u := &up{t: t, data: data}
	t.Cleanup(func() {
		if u.cmd != nil && u.cmd.ProcessState == nil {
			u.interrupt()
		}
		out, err := exec.Command(binary(), "node-reset", "--data-dir", filepath.Join(data, "node")).CombinedOutput()
		if err != nil {
			t.Errorf("reset: %v: %s", err, out)
		}
		if err := os.RemoveAll(data); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return u
}

// TestOneDataDirectoryHasOneProcess: a second one is refused before it touches anything, and told by whom.
func TestOneDataDirectoryHasOneProcess(t *testing.T) {
	u := newUp(t)
	u.start()
	for _, args := range [][]string{
		{"up", "--data-dir", u.data, "--nats-port", "4333", "--listen", "127.0.0.1:7444"},
		{"agentd", "--data-dir", filepath.Join(u.data, "node"), "--node", "solo"},
		{"node-reset", "--data-dir", filepath.Join(u.data, "node")},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, binary(), args...).CombinedOutput()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(out), fmt.Sprintf("belongs to rutter up (process %d)", u.cmd.Process.Pid)) {
			t.Errorf("%s: %v: %s", args[0], err, out)
		}
	}
	u.must("get", "nodes")
}

// TestARebootedMachineRunsItsWorkloadsAgain: of what a machine has, its disk alone is left.
func TestARebootedMachineRunsItsWorkloadsAgain(t *testing.T) {
	u := newUp(t)
	u.start()
	file := filepath.Join(u.data, "web.yaml")
	writeDocument(t, file, "web", 2)
	u.must("apply", "-f", file)
	before := u.instances()
	answers(t, before, 2)
	u.powerOff(before)
	u.start()
	var after []api.Instance
	err := cluster.Until(t.Context(), time.Minute, "the instances to run again", func(context.Context) error {
		after = slices.DeleteFunc(u.instances(), func(i api.Instance) bool { return !i.Wished })
		for _, i := range after {
			if i.Phase != spec.PhaseReady || len(i.Containers) == 0 || i.Containers[0].Run < 2 {
				return fmt.Errorf("%s is %s (%s)", i.Name, i.Phase, i.Reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(u.withLog(err))
	}
	answers(t, after, 2)
	u.must("delete", "workload", "web")
	if left := mountsBelow(t, u.data); len(left) > 0 {
		t.Errorf("mounts left: %v", left)
	}
}

// powerOff ends everything at once and takes away all that is not on the disk.
func (u *up) powerOff(all []api.Instance) {
	u.t.Helper()
	if err := u.cmd.Process.Kill(); err != nil {
		u.t.Fatal(err)
	}
	_ = u.cmd.Wait() // killed
	var ending []int
	for _, i := range all {
		ending = append(ending, i.Containers[0].PID)
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is right
	for _, link := range dirs {
		var pid int
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, u.data) {
			if _, err := fmt.Sscanf(link, "/proc/%d/cwd", &pid); err == nil {
				ending = append(ending, pid)
			}
		}
	}
	for _, pid := range ending {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its shim
	}
	err := cluster.Until(u.t.Context(), time.Minute, "all processes to be gone", func(context.Context) error {
		for _, pid := range ending {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
				return fmt.Errorf("process %d is there", pid)
			}
		}
		return nil
	})
	if err != nil {
		u.t.Fatal(err)
	}
	mounts := mountsBelow(u.t, u.data)
	slices.Reverse(mounts)
	for _, at := range mounts {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			u.t.Errorf("unmount %s: %v", at, err)
		}
	}
	for _, command := range []string{"ip link del rutter0", "iptables -w -F", "iptables -w -t nat -F", "iptables -w -t nat -X"} {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			u.t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	// Cgroups, the inner ones first. Those of others hold something and stay.
	if out, err := exec.Command("sh", "-c", "find /sys/fs/cgroup -depth -path '*/rutter/*' -type d -exec rmdir {} + 2>/dev/null; true").CombinedOutput(); err != nil {
		u.t.Errorf("cgroups: %v: %s", err, out)
	}
}

// mountsBelow lists what is mounted below a directory, in the order it was mounted.
func mountsBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			all = append(all, f[4])
		}
	}
	return all
}
