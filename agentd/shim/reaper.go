package shim

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"time"

	runc "github.com/containerd/go-runc"
	"golang.org/x/sys/unix"
)

// ended is how a process ended.
type ended struct {
	status unix.WaitStatus
	at     time.Time
}

func (e ended) code() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

// reaper collects every process that ends below the shim: the OCI runtime's, and the container's, whose parent the shim becomes when the
// OCI runtime exits. It is go-runc's monitor, because os/exec would wait for the same processes.
type reaper struct {
	mu    sync.Mutex
	waits map[int]func(ended)
	// A container's process can end before the pid file is read: while somebody expects one, strangers are remembered.
	expected int
	strays   map[int]ended
}

func newReaper() *reaper {
	r := &reaper{waits: map[int]func(ended){}, strays: map[int]ended{}}
	chld := make(chan os.Signal, 16)
	signal.Notify(chld, unix.SIGCHLD)
	go func() {
		for range chld {
			r.reap()
		}
	}()
	return r
}

func (r *reaper) reap() {
	for {
		var status unix.WaitStatus
		r.mu.Lock()
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			r.mu.Unlock()
			continue
		}
		if err != nil || pid <= 0 {
			r.mu.Unlock()
			return
		}
		e := ended{status, time.Now()}
		tell, ok := r.waits[pid]
		delete(r.waits, pid)
		if !ok && r.expected > 0 {
			r.strays[pid] = e
		}
		r.mu.Unlock()
		if ok {
			tell(e)
		}
	}
}

// expect is called before the OCI runtime makes a process; the returned function takes the process over by its pid, or gives up at 0.
func (r *reaper) expect() (adopt func(pid int) <-chan ended) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected++
	return func(pid int) <-chan ended {
		r.mu.Lock()
		defer r.mu.Unlock()
		done := make(chan ended, 1)
		if e, ok := r.strays[pid]; ok {
			done <- e
		} else if pid > 0 {
			r.waits[pid] = func(e ended) { done <- e }
		}
		if r.expected--; r.expected == 0 {
			clear(r.strays)
		}
		return done
	}
}

// kill signals a process only while it is not reaped, so that the pid cannot be another's.
func (r *reaper) kill(pid int, sig unix.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.waits[pid]; !ok {
		return false
	}
	return unix.Kill(pid, sig) == nil
}

// Start implements go-runc's ProcessMonitor.
func (r *reaper) Start(c *exec.Cmd) (chan runc.Exit, error) {
	r.mu.Lock() // held over the start: the process must not be reaped before somebody waits for it
	defer r.mu.Unlock()
	if err := c.Start(); err != nil {
		return nil, err
	}
	done := make(chan runc.Exit, 1)
	pid := c.Process.Pid
	r.waits[pid] = func(e ended) { done <- runc.Exit{Timestamp: e.at, Pid: pid, Status: e.code()} }
	return done, nil
}

// StartLocked implements go-runc's ProcessMonitor: the thread that starts the process must live as long as it, or the kernel takes
// its end for the shim's.
func (r *reaper) StartLocked(c *exec.Cmd) (chan runc.Exit, error) {
	started, done := make(chan error, 1), make(chan runc.Exit, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		exit, err := r.Start(c)
		started <- err
		if err == nil {
			done <- <-exit
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return done, nil
}

// Wait implements go-runc's ProcessMonitor.
func (r *reaper) Wait(c *exec.Cmd, done chan runc.Exit) (int, error) {
	e := <-done
	_ = c.Wait() // it finds no child any more; it is called for the copying of output that it waits for
	_ = c.Process.Release()
	return e.Status, nil
}
