//go:build unix

package subscription

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rutter-run/rutter/events"
)

// lockFile holds a lock until the file is closed or the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another process is subscribed with it: %w", events.ErrConflict)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
