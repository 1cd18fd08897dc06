package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rutter-run/rutter/events"
)

// FileStore keeps a position in a file.
type FileStore struct {
	path string
	lock *os.File
}

var _ Store = (*FileStore)(nil)

// File keeps the position in a file, which is replaced whole and fsynced each time. While a subscription runs it is locked (path.lock), so that a
// second process of the same position ends with [events.ErrConflict] instead of handling everything twice.
func File(path string) *FileStore { return &FileStore{path: path} }

// Load implements Store.
func (f *FileStore) Load(context.Context) (Position, error) {
	if f.lock == nil {
		lock, err := lockFile(f.path + ".lock")
		if err != nil {
			return Position{}, fmt.Errorf("position %s: %w", f.path, err)
		}
		f.lock = lock
	}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, fmt.Errorf("position: %w", err)
	}
	var p Position
	if err := json.Unmarshal(data, &p); err != nil {
		return Position{}, fmt.Errorf("position %s is not one that was kept here (%w); remove it to begin anew: %w", f.path, err, events.ErrInvalid)
	}
	return p, nil
}

// Advance implements Store.
func (f *FileStore) Advance(ctx context.Context, handle func(context.Context) (Position, error)) error {
	p, err := handle(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("position %s: %w", f.path, err)
	}
	if err := replaceFile(f.path, append(data, '\n')); err != nil {
		return fmt.Errorf("position %s: %w", f.path, err)
	}
	return nil
}

// Release lets another process take the position over.
func (f *FileStore) Release() {
	if f.lock != nil {
		_ = f.lock.Close()
		f.lock = nil
	}
}

// replaceFile writes a file whole or not at all, and returns when it would survive a loss of power. One temporary file serves all writes: the
// lock sees to it that nobody else is at it, and what a killed process has left of it is overwritten.
func replaceFile(path string, data []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
