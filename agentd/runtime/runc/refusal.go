package runc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"golang.org/x/sys/unix"
)

// hopeless are the words by which OCI runtimes say that a container can never run as asked. They have no codes; what matches none
// of these is tried again.
var hopeless = []string{
	"executable file not found", `exec: "`, "exec format error", "chdir to cwd", "unable to find user", "not a directory",
	"is a directory", "executable file `", "open executable", "chdir `", // the last three are crun's
}

// refusal tells what the OCI runtime says apart.
func refusal(err error) error {
	var said *shim.RuntimeError
	if !errors.As(err, &said) {
		return diskFull(err)
	}
	if strings.Contains(said.Error(), unix.ENOSPC.Error()) {
		return fmt.Errorf("%w: %w", runtime.ErrDiskFull, err)
	}
	for _, words := range hopeless {
		if strings.Contains(strings.ToLower(said.Message), words) {
			return fmt.Errorf("%w: %w", runtime.ErrBadConfig, err)
		}
	}
	return err
}

// diskFull makes a full disk tell itself apart.
func diskFull(err error) error {
	if errors.Is(err, runtime.ErrDiskFull) || !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return fmt.Errorf("%w: %w", runtime.ErrDiskFull, err)
}

// parseSignal reads a signal's name, with or without SIG, or its number.
func parseSignal(name string) (unix.Signal, error) {
	const last = 64
	upper := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= last {
		return unix.Signal(n), nil
	}
	if s := unix.SignalNum(upper); s != 0 {
		return s, nil
	}
	// Real-time signals, which systemd in a container is stopped with. The C library keeps the first two for itself.
	if offset, ok := strings.CutPrefix(upper, "SIGRTMIN"); ok {
		n, err := strconv.Atoi("0" + strings.TrimPrefix(offset, "+"))
		if err == nil && 34+n <= last {
			return unix.Signal(34 + n), nil
		}
	}
	return 0, fmt.Errorf("%w: unknown signal %q", runtime.ErrBadConfig, name)
}
