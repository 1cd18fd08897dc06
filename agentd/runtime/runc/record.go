package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
)

// recordFile is what was asked for, in a container's directory.
const recordFile = "container.json"

// record is all that is kept of a container beside what its shim writes.
type record struct {
	Config     runtime.ContainerConfig
	StopSignal string // the specification's, the image's or SIGTERM
}

// errDamaged says that a container's record was read and is none, such as after a power loss. A record that could not be read, such as
// for want of file descriptors, is not damaged: another try may go well, and its container runs meanwhile.
var errDamaged = errors.New("its record is damaged")

// salvage takes a container away whose record cannot be read: nobody can say what it was to be. The record is set aside for people. The
// instance finds that its run is gone and goes by its restart policy.
func (r *Runtime) salvage(ctx context.Context, id string) error {
	aside := r.path("damaged", id+".json")
	r.log.WithField("container", id).WithField("kept", aside).Error("the record of a container is damaged: removing the container")
	err := os.MkdirAll(filepath.Dir(aside), 0o700)
	if err == nil {
		err = os.Rename(filepath.Join(r.dir(id), recordFile), aside)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set the damaged record of %s aside: %w", id, err)
	}
	if err := r.dispose(ctx, id); err != nil {
		return fmt.Errorf("remove container %s, whose record is damaged: %w", id, err)
	}
	return nil
}

// entry is what this process keeps of a container.
type entry struct {
	verb sync.Mutex // held by Create, Start and Remove: one at a time

	mu      sync.Mutex
	record  *record
	changed chan struct{} // closed and replaced when the container was started or removed
}

func (r *Runtime) entry(id string) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[id]
	if !ok {
		e = &entry{changed: make(chan struct{})}
		r.entries[id] = e
	}
	return e
}

func (e *entry) change() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *entry) next() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// record reads what was asked for; runtime.ErrNotFound where there is no such container.
func (r *Runtime) record(id string) (*record, error) {
	if !fileName(id) {
		return nil, fmt.Errorf("container %q: %w", id, runtime.ErrNotFound)
	}
	// The directory decides: another Runtime may have removed it.
	path := filepath.Join(r.dir(id), recordFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		r.mu.Lock()
		if e, ok := r.entries[id]; ok && e.verb.TryLock() {
			delete(r.entries, id)
			e.verb.Unlock()
		}
		r.mu.Unlock()
		return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	}
	e := r.entry(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.record == nil {
		var rec record
		ok, err := shim.ReadRecord(path, &rec)
		if err != nil && !ok {
			return nil, fmt.Errorf("container %s: %w", id, err)
		}
		if err == nil && ok && (rec.Config.ID != id || !fileName(rec.Config.Instance)) {
			err = errors.New("it is not the record of this container")
		}
		if err != nil {
			return nil, fmt.Errorf("container %s: %w: %w", id, errDamaged, err)
		}
		if !ok {
			return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
		}
		e.record = &rec
	}
	return e.record, nil
}

// fileName reports whether a name may be one of a file; names with a leading dot are ours.
func fileName(name string) bool {
	return name != "" && len(name) < 200 && name[0] != '.' && !strings.ContainsAny(name, "/\x00")
}
