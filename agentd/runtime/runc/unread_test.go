package runc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
)

// TestWhatCannotBeReadIsNotDamaged: a record that is there and cannot be read speaks of the machine, and its container stays.
func TestWhatCannotBeReadIsNotDamaged(t *testing.T) {
	const id, other = "default.a.main.1", "default.b.main.1"
	r, err := New(Config{Dir: t.TempDir(), Images: noImages{}, Networks: noNetworks{}})
	if err != nil {
		t.Fatal(err)
	}
	// Reading a directory fails for everybody, root included.
	for _, dir := range []string{filepath.Join(r.dir(id), recordFile), r.path("sandboxes", "default.a", sandboxFile)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(r.dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	known := record{Config: runtime.ContainerConfig{ID: other, Instance: "default.b"}}
	if err := shim.WriteRecord(filepath.Join(r.dir(other), recordFile), known, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Status(t.Context(), id); err == nil || errors.Is(err, errDamaged) || errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("status: %v, want what is in the way of reading it", err)
	}
	if err := r.Create(t.Context(), runtime.ContainerConfig{ID: id, Instance: "default.a"}); err == nil || errors.Is(err, errDamaged) {
		t.Errorf("create: %v, want what is in the way of reading it", err)
	}
	if _, err := os.Stat(filepath.Join(r.dir(id), recordFile)); err != nil {
		t.Errorf("the container is gone: %v", err)
	}
	if all, err := r.List(t.Context()); !errors.Is(err, runtime.ErrUnseen) || len(all) != 1 || all[0].ID != other {
		t.Errorf("list: %+v, %v, want %s beside %v", all, err, other, runtime.ErrUnseen)
	}
	if _, err := r.CollectImages(t.Context(), nil); !errors.Is(err, runtime.ErrUnseen) {
		t.Errorf("collect images: %v, want %v: its image may be in use", err, runtime.ErrUnseen)
	}
	if err := r.RemoveSandbox(t.Context(), "default.a"); !errors.Is(err, runtime.ErrUnseen) {
		t.Errorf("remove sandbox: %v, want %v: it may be in there", err, runtime.ErrUnseen)
	}
	if _, err := r.sandbox("default.a"); err == nil || errors.Is(err, runtime.ErrSandboxBroken) {
		t.Errorf("sandbox: %v, want what is in the way of reading it", err)
	}
}
