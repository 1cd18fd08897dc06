package runc_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// TestDamagedRecordsKeepNoNodeDown: whichever file of a container or a sandbox a power loss has torn, the node comes up, what it knows well
// goes on, and nothing of the damaged one is left once it is removed.
func TestDamagedRecordsKeepNoNodeDown(t *testing.T) {
	const (
		bystander = "default.good.main.1"
		victim    = "default.bad.main.1"
	)
	for _, test := range []struct {
		name, file string
		end        bool // the container has ended before
		check      func(t *testing.T, r *runtime.Status, err error)
	}{
		{"container", "node/containers/" + victim + "/container.json", false, isGone},
		{"ended container", "node/containers/" + victim + "/container.json", true, isGone},
		{"exit", "node/containers/" + victim + "/exit.json", true, func(t *testing.T, s *runtime.Status, err error) {
			if err != nil || s.State != runtime.StateExited || s.ExitCode != 255 || s.ExitedAt.IsZero() {
				t.Errorf("it is %+v, %v, want it ended nobody knows how", s, err)
			}
		}},
		{"start", "node/containers/" + victim + "/start.json", false, isThere},
		{"sandbox", "node/sandboxes/default.bad/sandbox.json", false, isThere},
		{"network", "network/sandboxes/default.bad.json", false, isThere},
	} {
		for content, bytes := range map[string]string{"torn": `{"Con`, "of something else": `{"a":[1]}`} {
			t.Run(test.name+" "+content, func(t *testing.T) {
				m := newMachine(t)
				rt := m.open(t)
				image, err := rt.PullImage(t.Context(), m.image, nil)
				if err != nil {
					t.Fatal(err)
				}
				pids := map[string]int{}
				for instance, id := range map[string]string{"default.good": bystander, "default.bad": victim} {
					if _, err := rt.CreateSandbox(t.Context(), runtime.SandboxConfig{Instance: instance}); err != nil {
						t.Fatal(err)
					}
					config := runtime.ContainerConfig{ID: id, Instance: instance, Image: image, Spec: spec.Container{Name: "main", Command: []string{"sleep", "1000"}}}
					if err := rt.Create(t.Context(), config); err != nil {
						t.Fatal(err)
					}
					s, err := rt.Start(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					pids[id] = s.PID
				}
				if test.end {
					if err := rt.Stop(t.Context(), victim, "SIGKILL", 0); err != nil {
						t.Fatal(err)
					}
				}
				if err := rt.Close(); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(m.dir, test.file), []byte(bytes), 0o600); err != nil {
					t.Fatal(err)
				}

				rt = m.open(t) // or the node stays down
				all, err := rt.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				listed := map[string]runtime.Status{}
				for _, s := range all {
					listed[s.ID] = s
				}
				if s := listed[bystander]; s.State != runtime.StateRunning || s.PID != pids[bystander] {
					t.Errorf("the bystander is %+v", s)
				}
				s, err := rt.Status(t.Context(), victim)
				test.check(t, &s, err)
				if errors.Is(err, runtime.ErrNotFound) {
					if err := syscall.Kill(pids[victim], 0); err == nil && !test.end {
						t.Error("its process goes on")
					}
				}
				sandboxes, err := rt.ListSandboxes(t.Context())
				if err != nil || len(sandboxes) != 2 {
					t.Errorf("sandboxes: %+v, %v", sandboxes, err)
				}
				for _, s := range sandboxes {
					broken := s.Instance == "default.bad" && (test.name == "sandbox" || test.name == "network")
					if s.Broken != broken {
						t.Errorf("sandbox %+v, want it broken: %v", s, broken)
					}
				}
				for instance, id := range map[string]string{"default.good": bystander, "default.bad": victim} {
					if err := rt.Remove(t.Context(), id); err != nil {
						t.Error(err)
					}
					if err := rt.RemoveSandbox(t.Context(), instance); err != nil {
						t.Error(err)
					}
				}
				if left := m.leftovers(t); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
				if err := rt.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func isGone(t *testing.T, s *runtime.Status, err error) {
	if !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("it is %+v, %v, want %v", s, err, runtime.ErrNotFound)
	}
}

func isThere(t *testing.T, s *runtime.Status, err error) {
	if err != nil {
		t.Errorf("it is %+v, %v", s, err)
	}
}

// TestContainersInABrokenSandboxAreRefused by name, so that the sandbox is made again.
func TestContainersInABrokenSandboxAreRefused(t *testing.T) {
	m := newMachine(t)
	rt := m.open(t)
	image, err := rt.PullImage(t.Context(), m.image, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := rt.CreateSandbox(t.Context(), runtime.SandboxConfig{Instance: "default.a"})
	if err != nil {
		t.Fatal(err)
	}
	// As after a restart of the machine.
	if err := syscall.Unmount(made.NetNSPath, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	config := runtime.ContainerConfig{ID: "default.a.main.1", Instance: "default.a", Image: image, Spec: spec.Container{Name: "main", Command: []string{"true"}}}
	if err := rt.Create(t.Context(), config); !errors.Is(err, runtime.ErrSandboxBroken) {
		t.Errorf("in a sandbox without a namespace: %v, want %v", err, runtime.ErrSandboxBroken)
	}
	if err := rt.RemoveSandbox(t.Context(), "default.a"); err != nil {
		t.Fatal(err)
	}
	// The kernel takes a namespace that nobody holds any more away in its own time, and its link with it.
	for deadline := time.Now().Add(time.Minute); len(m.leftovers(t)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", m.leftovers(t))
		}
	}
}
