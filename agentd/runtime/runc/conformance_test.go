package runc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/runtimetest"
	"golang.org/x/sys/unix"
)

func TestConformance(t *testing.T) {
	m := newMachine(t)
	runtimetest.Run(t, func(t *testing.T) runtime.Runtime { return m.open(t) }, runtimetest.Options{
		Image: m.image, Real: true, Restarts: true, KillShim: m.killShim,
		Leftovers: func(t *testing.T) []string { return m.leftovers(t) },
	})
}

const (
	ociEnv   = "RUTTER_TEST_OCI"   // the OCI runtime to test; runc where empty
	plainEnv = "RUTTER_TEST_PLAIN" // set: without version 2 of cgroups beside version 1
)

// TestConformanceOfCrun runs the suite on crun, in a mount namespace of its own where crun refuses the machine's cgroups.
func TestConformanceOfCrun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: containers need root")
	}
	if _, err := exec.LookPath("crun"); err != nil {
		t.Skip("NOT TESTED: there is no crun (Debian package crun)")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestConformance$", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), ociEnv+"=crun")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if _, err := os.Stat(hybrid); err == nil {
		cmd.Env = append(cmd.Env, plainEnv+"=1")
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// hybrid is where version 2 of cgroups is mounted beside version 1.
const hybrid = "/sys/fs/cgroup/unified"

// leaveHybrid takes it off, in this mount namespace alone.
func leaveHybrid() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Unmount(hybrid, unix.MNT_DETACH); err != nil {
		return err
	}
	// What crun makes there all the same goes with the namespace.
	return unix.Mount("tmpfs", hybrid, "tmpfs", 0, "size=1m")
}

// killShim kills the shim of a container and returns when it is dead.
func (m *machine) killShim(t *testing.T, id string) {
	t.Helper()
	for pid, dir := range workingDirs(t) {
		if dir != filepath.Join(m.dir, "node", "containers", id) {
			continue
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for {
			if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err != nil || strings.Contains(string(stat), ") Z ") {
				return
			}
		}
	}
	t.Fatalf("%s has no shim", id)
}
