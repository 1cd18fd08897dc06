package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Phase is where a container's directory stands.
type Phase int

// The phases.
const (
	Unstarted Phase = iota // never run, or the OCI runtime refused it
	Starting               // the OCI runtime is at work
	Running
	Ended
	Orphaned // its shim was killed; call [Adopt]
)

// State is all that is known of a container from its directory.
type State struct {
	Phase Phase
	Start Start // from Starting on
	Exit  Exit  // Ended
	Alive bool  // there is a shim; not looked for where the container has ended
}

// Inspect reads where the container of dir stands.
func Inspect(dir string) (State, error) {
	s, started, err := recorded(dir)
	if err != nil || s.Phase == Ended {
		return s, err
	}
	alive, err := alive(dir)
	if err != nil {
		return State{}, err
	}
	if !alive {
		// The shim writes exit.json before it lets go of the lock, and takes start.json back where a start failed: what was not
		// there before is there now.
		if s, started, err = recorded(dir); err != nil || s.Phase == Ended {
			return s, err
		}
	}
	s.Alive = alive
	switch {
	case !started:
		s.Phase = Unstarted
	case !alive:
		s.Phase = Orphaned
	case s.Start.PID == 0:
		s.Phase = Starting
	default:
		s.Phase = Running
	}
	return s, nil
}

// recorded reads the records of dir.
func recorded(dir string) (s State, started bool, err error) {
	started, err = ReadRecord(filepath.Join(dir, startFile), &s.Start)
	if err != nil && !started {
		return s, false, err
	}
	// A start.json torn by a power failure still says that the container was started.
	path := filepath.Join(dir, exitFile)
	ended, err := ReadRecord(path, &s.Exit)
	if ended {
		s.Phase = Ended
	}
	if ended && (err != nil || s.Exit.At.IsZero()) {
		// And a torn exit.json that it has ended, if not how.
		s.Exit, err = Exit{StartedAt: s.Start.At, Code: LostCode, Reason: "the record of its end is damaged"}, nil
		if info, statErr := os.Stat(path); statErr == nil {
			s.Exit.At = info.ModTime()
		}
	}
	return s, started || ended, err
}

// LostCode is the exit code of a container whose end nobody saw, or nobody can read any more.
const LostCode = 255

// alive asks whether a shim holds the lock, without taking it. A process identifier could have been given to another process
// meanwhile; a lock goes with the process that holds it.
func alive(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, os.NewSyscallError("F_OFD_GETLK", err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

var errLocked = errors.New("a shim is alive")

// takeLock makes the caller the one that answers for dir, until the file is closed or the process ends.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// Adopt takes the place of a killed shim: end must end whatever remains of the container and say how it ended, which is recorded.
// Where the container is not orphaned (any more) it does nothing.
func Adopt(dir string, end func(Start) (Exit, error)) error {
	lock, err := takeLock(dir)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	s, started, err := recorded(dir)
	if err != nil || !started || s.Phase == Ended {
		return err
	}
	exit, err := end(s.Start)
	if err != nil {
		return err
	}
	return WriteRecord(filepath.Join(dir, exitFile), exit, true)
}

// AwaitGone returns when no shim of dir is alive any more.
func AwaitGone(ctx context.Context, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	got := make(chan error, 1)
	go func() {
		defer f.Close()
		// The kernel wakes us when the lock is free; that is soon, for the shim was told to go.
		lock := unix.Flock_t{Type: unix.F_WRLCK}
		err := error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &lock)
		}
		got <- err
	}()
	select {
	case err := <-got:
		if err != nil {
			return fmt.Errorf("wait for the shim's end: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
