package shim

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	runc "github.com/containerd/go-runc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// exec runs another process in the container and carries its bytes; the answer is its exit.
func (c *container) exec(w *wire, process *specs.Process) answer {
	if process == nil {
		return answer{Error: "no process to run"}
	}
	c.mu.Lock()
	if c.started == nil || c.isDone() {
		c.mu.Unlock()
		return answer{NotRunning: true}
	}
	c.serial++
	name := fmt.Sprintf("exec-%d", c.serial)
	c.execs.Add(1)
	c.mu.Unlock()
	defer c.execs.Done()
	pidPath, logPath := filepath.Join(c.dir, name+".pid"), filepath.Join(c.dir, name+".log")
	defer os.Remove(pidPath)
	defer os.Remove(logPath)

	opts := &runc.ExecOpts{PidFile: pidPath, LogFile: logPath, Detach: true}
	session := &session{wire: w, drained: make(chan struct{})}
	var launched func() error
	if process.Terminal {
		console, err := listenConsole(name + ".sock")
		if err != nil {
			return answer{Error: err.Error()}
		}
		defer console.Close()
		opts.ConsoleSocket = console
		launched = func() error { return session.takeConsole(console) }
	} else {
		p, err := newPipes(true)
		if err != nil {
			return answer{Error: err.Error()}
		}
		opts.IO = p
		launched = func() error { p.closeTheirs(); session.takePipes(p); return nil }
		defer p.Close()
		defer p.closeTheirs()
	}
	adopt := c.reaper.expect()
	if err := c.runc.Exec(context.Background(), c.config.ID, *process, opts); err != nil {
		adopt(0)
		if c.isDone() {
			return answer{NotRunning: true}
		}
		return answer{Runtime: runtimeMessage(logPath), Error: err.Error()}
	}
	pid, err := readPID(pidPath)
	exited := adopt(pid)
	if err == nil {
		err = launched()
	}
	if err != nil {
		c.reaper.kill(pid, unix.SIGKILL)
		return answer{Error: err.Error()}
	}
	go session.output()
	gone := make(chan struct{})
	go func() {
		session.input()
		close(gone)
	}()
	var e ended
	select {
	case e = <-exited:
	case <-gone:
		// Nobody is there for its output any more, nor for that of what it has put into the background.
		endFamily(pid)
		e = <-exited
	}
	session.finish()
	exit := &Exit{At: e.at, Code: e.code()}
	if e.status.Signaled() {
		exit.Signal = int(e.status.Signal())
	}
	return answer{Exit: exit}
}

func (c *container) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// session joins a process's streams to the client.
type session struct {
	wire    *wire
	stdin   *os.File
	outputs map[byte]*os.File
	console *os.File // nil without a terminal
	drained chan struct{}
	last    sync.Mutex
	lastAt  time.Time // of output
}

func (s *session) takePipes(p *pipes) {
	s.stdin = p.stdin.ours
	s.outputs = map[byte]*os.File{frameStdout: p.stdout.ours, frameStderr: p.stderr.ours}
}

func (s *session) takeConsole(console *consoleSocket) error {
	master, err := console.receive()
	if err != nil {
		return fmt.Errorf("receive the terminal: %w", err)
	}
	s.stdin, s.console = master, master
	s.outputs = map[byte]*os.File{frameStdout: master}
	return nil
}

// output sends what the process writes until the streams end.
func (s *session) output() {
	var all sync.WaitGroup
	for kind, f := range s.outputs {
		all.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := f.Read(buf)
				if n > 0 {
					s.last.Lock()
					s.lastAt = time.Now()
					s.last.Unlock()
					// A client that does not take it is seen by input; the process must not be blocked by it.
					_ = s.wire.write(kind, buf[:n])
				}
				if err != nil {
					return // the end, or EIO where a terminal was hung up
				}
			}
		})
	}
	all.Wait()
	close(s.drained)
}

// quiet is how long a stream that a background process keeps open must say nothing after the main one's end.
const quiet = 200 * time.Millisecond

// finish waits for the rest of the output after the process's end.
func (s *session) finish() {
	for {
		select {
		case <-s.drained:
		case <-time.After(quiet):
			s.last.Lock()
			idle := time.Since(s.lastAt)
			s.last.Unlock()
			if idle < quiet {
				continue
			}
		}
		for _, f := range s.outputs {
			_ = f.Close()
		}
		return
	}
}

// input gives what the client sends to the process until the client hangs up.
func (s *session) input() {
	// A process that does not read must not keep the client's hanging up, or a resize, from being seen.
	data := make(chan []byte, 16)
	defer close(data)
	go func() {
		for chunk := range data {
			if chunk == nil && s.console == nil {
				_ = s.stdin.Close()
				continue
			}
			if chunk == nil {
				chunk = []byte{4} // a terminal's end of input is a character
			}
			_, _ = s.stdin.Write(chunk) // a process that reads no more is no fault
		}
	}()
	give := func(chunk []byte) (there bool) {
		for {
			select {
			case data <- chunk:
				return true
			case <-time.After(quiet):
				if s.wire.hungUp() {
					return false
				}
			}
		}
	}
	for {
		kind, payload, err := s.wire.read()
		if err != nil {
			return
		}
		switch kind {
		case frameStdin:
			if !give(payload) {
				return
			}
		case frameClose:
			if !give(nil) {
				return
			}
		case frameResize:
			if s.console != nil && len(payload) == 4 {
				size := &unix.Winsize{Col: binary.BigEndian.Uint16(payload), Row: binary.BigEndian.Uint16(payload[2:])}
				_ = unix.IoctlSetWinsize(int(s.console.Fd()), unix.TIOCSWINSZ, size)
			}
		}
	}
}
