package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	runc "github.com/containerd/go-runc"
	"github.com/rutter-run/rutter/agentd/shim/logfile"
	"golang.org/x/sys/unix"
)

// container is the one that the shim stands over.
type container struct {
	config Config
	dir    string
	runc   *runc.Runc
	reaper *reaper
	done   chan struct{} // closed when the exit is on disk
	exit   *Exit         // set before done is closed
	execs  sync.WaitGroup

	mu        sync.Mutex // held while the container is being started
	started   *Start
	abandoned bool
	serial    int // of exec processes
}

func newContainer(config Config) (*container, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	c := &container{config: config, dir: dir, reaper: newReaper(), done: make(chan struct{})}
	runc.Monitor = c.reaper
	c.runc = &runc.Runc{
		Command: config.Runtime, Root: config.Root, LogFormat: runc.JSON, Log: filepath.Join(dir, runtimeLog),
		// An OCI runtime that outlived the shim would make a container that nobody knows of.
		PdeathSignal: unix.SIGKILL,
	}
	return c, nil
}

// start runs the container, once.
func (c *container) start() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.started != nil:
		return answer{Start: c.started}
	case c.abandoned:
		return answer{NotRunning: true, Error: "the container was given up"}
	}
	// Said before it is done: whoever finds this file and no shim cleans up instead of starting a second time.
	start := &Start{At: time.Now()}
	if err := WriteRecord(startFile, start, false); err != nil {
		return answer{Error: err.Error()}
	}
	exited, wait, err := c.launch(start)
	if err != nil {
		if removeErr := os.Remove(startFile); removeErr != nil {
			err = fmt.Errorf("%w; and %w", err, removeErr)
		}
		return answer{Runtime: runtimeMessage(runtimeLog), Error: err.Error()}
	}
	c.started = start
	go c.await(exited, wait)
	if err := WriteRecord(startFile, start, false); err != nil {
		// It runs all the same; an agent that restarts asks the shim where the file says no more.
		fmt.Fprintln(os.Stderr, "shim:", err)
	}
	return answer{Start: start}
}

// launch runs the OCI runtime and takes over the process that it leaves. The returned function waits until all output is in the log.
func (c *container) launch(start *Start) (exited <-chan ended, flushed func(), err error) {
	log, err := logfile.Create(c.config.Log, c.config.LogMaxSize, c.config.LogMaxFiles)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	io, err := newPipes(false)
	if err != nil {
		return nil, nil, err
	}
	_ = os.Remove(runtimeLog) // of an earlier attempt
	adopt := c.reaper.expect()
	_, err = c.runc.Run(context.Background(), c.config.ID, c.dir, &runc.CreateOpts{IO: io, PidFile: filepath.Join(c.dir, pidFile), Detach: true})
	io.closeTheirs()
	var copying sync.WaitGroup
	copying.Go(func() { log.Copy(logfile.Stdout, io.stdout.ours) })
	copying.Go(func() { log.Copy(logfile.Stderr, io.stderr.ours) })
	flushed = func() {
		wait(&copying, drainTime)
		_ = io.Close()
		copying.Wait()
		_ = log.Close() // nothing is buffered
	}
	if err != nil {
		adopt(0)
		go flushed()
		return nil, nil, err
	}
	pid, err := readPID(pidFile)
	if err != nil {
		adopt(0)
		go flushed()
		return nil, nil, fmt.Errorf("%s started the container and wrote no pid: %w", c.config.Runtime, err)
	}
	start.PID = pid
	return adopt(pid), flushed, nil
}

// drainTime bounds how long the end of the output is waited for: all that could still write is dead with the pid namespace.
const drainTime = 5 * time.Second

// wait waits for the group, for a while.
func wait(group *sync.WaitGroup, most time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// await records the end of the container.
func (c *container) await(exited <-chan ended, flushed func()) {
	e := <-exited
	exit := &Exit{StartedAt: c.started.At, At: e.at, Code: e.code()}
	if e.status.Signaled() {
		exit.Signal = int(e.status.Signal())
	}
	// A shell whose child was killed ends with the child's 137.
	exit.OOMKilled = exit.Code == 128+int(unix.SIGKILL) && oomKills(c.config.Cgroup) > 0
	flushed()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := WriteRecord(exitFile, exit, true)
		if err == nil {
			break
		}
		// The shim is the only one who knows how the container ended: it stays until the disk takes it.
		fmt.Fprintln(os.Stderr, "shim:", err)
		time.Sleep(pause)
	}
	c.exit = exit
	close(c.done)
}

// kill signals the main process.
func (c *container) kill(sig unix.Signal) answer {
	c.mu.Lock()
	started := c.started
	c.mu.Unlock()
	if started == nil || !c.reaper.kill(started.PID, sig) {
		return answer{NotRunning: true}
	}
	return answer{}
}

// abandon makes sure that the container will never be started.
func (c *container) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = c.started == nil
	return c.abandoned
}

// delete takes away what the OCI runtime keeps of an ended container: its cgroups and its state.
func (c *container) delete() {
	wait(&c.execs, drainTime)
	if err := c.runc.Delete(context.Background(), c.config.ID, nil); err != nil {
		fmt.Fprintln(os.Stderr, "shim: delete:", err) // the agent tries again when it removes the container
	}
}

func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// pipes are a process's standard streams.
type pipes struct {
	stdin, stdout, stderr end
}

type end struct{ ours, theirs *os.File }

// newPipes makes the streams of a process; without input it reads the end of a file.
func newPipes(input bool) (*pipes, error) {
	p := &pipes{}
	var err error
	for _, side := range []*end{&p.stdout, &p.stderr} {
		if side.ours, side.theirs, err = os.Pipe(); err != nil {
			p.closeTheirs()
			_ = p.Close()
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
	}
	if input {
		p.stdin.theirs, p.stdin.ours, err = os.Pipe()
	} else {
		p.stdin.theirs, err = os.Open(os.DevNull)
	}
	if err != nil {
		p.closeTheirs()
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// The methods below make pipes go-runc's IO.

func (p *pipes) Set(cmd *exec.Cmd) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin.theirs, p.stdout.theirs, p.stderr.theirs
}

func (p *pipes) Stdin() io.WriteCloser { return p.stdin.ours }
func (p *pipes) Stdout() io.ReadCloser { return p.stdout.ours }
func (p *pipes) Stderr() io.ReadCloser { return p.stderr.ours }

// Close closes our ends.
func (p *pipes) Close() error {
	for _, f := range []*os.File{p.stdin.ours, p.stdout.ours, p.stderr.ours} {
		if f != nil {
			_ = f.Close() // pipes have no data of their own to lose
		}
	}
	return nil
}

// closeTheirs lets the process's own copies be the last ones, so that its end is the end of the stream.
func (p *pipes) closeTheirs() {
	for _, f := range []*os.File{p.stdin.theirs, p.stdout.theirs, p.stderr.theirs} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// runtimeMessage is the last error in the OCI runtime's log.
func runtimeMessage(path string) (message string) {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(data) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") && entry.Msg != "" {
			message = entry.Msg
		}
	}
	return message
}
