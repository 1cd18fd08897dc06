package runc_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/runtimetest"
)

func TestConformance(t *testing.T) {
	m := newMachine(t)
	runtimetest.Run(t, func(t *testing.T) runtime.Runtime { return m.open(t) }, runtimetest.Options{
		Image: m.image, Real: true, Restarts: true, KillShim: m.killShim,
		Leftovers: func(t *testing.T) []string { return m.leftovers(t) },
	})
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
