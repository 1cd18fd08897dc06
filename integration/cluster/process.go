package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Process is one process of the cluster. It can be killed and started again.
type Process struct {
	Name      string
	namespace string // network namespace, the hub's where empty
	command   []string
	logFile   string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts the process; one that runs is left alone.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !p.ended() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.logFile), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := p.command
	if p.namespace != "" {
		command = append([]string{"nsenter", "--net=/run/netns/" + p.namespace}, command...)
	}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// A group of its own: an interrupt at the terminal is for the program that runs the cluster, which stops it in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.done = make(chan struct{})
	cmd, done := p.cmd, p.done
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
	return nil
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// PID is the process's id, 0 where it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.ended() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill kills the process outright and returns once it is gone.
func (p *Process) Kill() { p.signal(syscall.SIGKILL, time.Minute) }

// Stop asks the process to end and kills it where it does not.
func (p *Process) Stop() error {
	if !p.signal(syscall.SIGTERM, 15*time.Second) {
		p.Kill()
		return fmt.Errorf("%s did not end within 15 s of SIGTERM; see %s", p.Name, p.logFile)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return fmt.Errorf("%s ended with %w; see %s", p.Name, exit, p.logFile)
	}
	return nil
}

func (p *Process) signal(s syscall.Signal, most time.Duration) (gone bool) {
	p.mu.Lock()
	if p.cmd == nil || p.ended() {
		p.mu.Unlock()
		return true
	}
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	_ = cmd.Process.Signal(s) // it may have ended just now
	select {
	case <-done:
		return true
	case <-time.After(most):
		return false
	}
}

// Log is the path of the process's output.
func (p *Process) Log() string { return p.logFile }

// ignoreInterrupts keeps this process alive through an interrupt meant for its child.
func ignoreInterrupts() (restore func()) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return func() { signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) }
}
