package shim

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Main runs a shim: its working directory is the container's, its configuration comes on stdin, and file 3 is told "ok" when the
// socket listens, or what went wrong. The arguments are for people who read the process list. It returns the process's exit code.
func Main(_ []string) int {
	ready := os.NewFile(3, "ready")
	if ready == nil {
		fmt.Fprintln(os.Stderr, "rutter shim is started by rutter agentd, not by hand")
		return 2
	}
	if err := run(ready); err != nil {
		fmt.Fprintln(os.Stderr, "shim:", err)
		_, _ = io.WriteString(ready, err.Error()) // the agent may be gone; the log has it too
		return 1
	}
	return 0
}

func run(ready *os.File) error {
	// A shim lives as long as its container and there are many of them: memory counts, speed of collection does not.
	debug.SetGCPercent(25)
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT"} {
		_ = os.Unsetenv(name) // they were for the shim, not for the OCI runtime
	}
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE, unix.SIGQUIT)
	var config Config
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	lock, err := takeLock(".")
	if err != nil {
		return fmt.Errorf("become the shim of %s: %w", config.ID, err)
	}
	defer lock.Close() // held until the end of the process
	leaveCgroups(config.OwnCgroup)
	// Rather any container than what stands over it. Without the right to lower it the shim lives like everybody else.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-998"), 0)
	// Containers are children of the OCI runtime, which exits: they become the shim's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	if err := os.Remove(socketFile); err != nil && !os.IsNotExist(err) {
		return err
	}
	// By a relative name: a path in a socket's address has at most 107 bytes, and container directories may be deep.
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketFile, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	c, err := newContainer(config)
	if err != nil {
		return err
	}
	s := &server{container: c, listener: listener, quit: make(chan struct{})}
	go s.accept()
	if _, err := io.WriteString(ready, "ok"); err != nil {
		// The agent died meanwhile; the next one finds the socket.
		fmt.Fprintln(os.Stderr, "shim: nobody waits for the start:", err)
	}
	_ = ready.Close()
	debug.FreeOSMemory()
	s.wait()
	return nil
}
