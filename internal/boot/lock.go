package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process works on a data directory.
var ErrInUse = errors.New("data directory is in use")

// LockDir makes this process the only one that works on a data directory, until release or its end, however it ends. what says who it is,
// for those who come second.
func LockDir(dir, what string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(file, 100)) // without a name it is as much in use
		return nil, fmt.Errorf("%w: %s belongs to %s: stop that one first, or give this one a --data-dir of its own", ErrInUse, dir, named(string(holder)))
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(file, "rutter %s (process %d)", what, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // which lets go of the lock
}

func named(holder string) string {
	if holder = strings.TrimSpace(holder); holder == "" {
		return "another process"
	}
	return holder
}
