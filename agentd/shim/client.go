package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The errors that a client tells apart.
var (
	ErrGone       = errors.New("no shim answers") // it has exited or died: the directory says which
	ErrNotRunning = errors.New("the container does not run")
)

// RuntimeError is a refusal of the OCI runtime.
type RuntimeError struct {
	Message string // its own words
	Err     string // what was seen of it from outside
}

func (e *RuntimeError) Error() string {
	if e.Message == "" {
		return e.Err
	}
	return e.Message
}

// Client speaks to the shim of the container in Dir.
type Client struct{ Dir string }

// StartContainer starts the container; one that was started before is left alone.
func (c Client) StartContainer(ctx context.Context) (Start, error) {
	a, err := c.ask(ctx, request{Verb: verbStart})
	if err != nil || a.Start == nil {
		return Start{}, orGone(err)
	}
	return *a.Start, nil
}

// Wait returns when the container has ended and its exit is on disk.
func (c Client) Wait(ctx context.Context) (Exit, error) {
	a, err := c.ask(ctx, request{Verb: verbWait})
	if err != nil || a.Exit == nil {
		return Exit{}, orGone(err)
	}
	return *a.Exit, nil
}

// Kill signals the main process.
func (c Client) Kill(ctx context.Context, signal unix.Signal) error {
	_, err := c.ask(ctx, request{Verb: verbKill, Signal: int(signal)})
	return err
}

// Quit ends the shim of a container that was never started, which then never will be.
func (c Client) Quit(ctx context.Context) error {
	_, err := c.ask(ctx, request{Verb: verbQuit})
	return err
}

func orGone(err error) error {
	if err != nil {
		return err
	}
	return ErrGone
}

func (c Client) dial(ctx context.Context) (*net.UnixConn, error) {
	// A socket's address has at most 107 bytes: the directory is named by a file descriptor.
	dir, err := unix.Open(c.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: open %s: %w", ErrGone, c.Dir, err)
	}
	defer func() { _ = unix.Close(dir) }()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir, socketFile))
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// ask has one answer to one request.
func (c Client) ask(ctx context.Context, req request) (answer, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	w := &wire{conn: conn}
	if err := w.writeJSON(frameRequest, req); err != nil {
		return answer{}, lost(ctx, err)
	}
	_, payload, err := w.read()
	if err != nil {
		return answer{}, lost(ctx, err)
	}
	return decode(payload)
}

// lost says why a conversation ended before its answer.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

func decode(payload []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return a, fmt.Errorf("answer of the shim: %w", err)
	}
	switch {
	case a.NotRunning:
		return a, ErrNotRunning
	case a.Runtime != "" || a.Error != "":
		return a, &RuntimeError{Message: a.Runtime, Err: a.Error}
	}
	return a, nil
}

// Streams are what a process in the container is joined to. Nil ones are empty or thrown away.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan [2]uint16 // width and height
}

// Exec runs a process in the container until its end. A process whose client goes is killed.
func (c Client) Exec(ctx context.Context, process *specs.Process, streams Streams) (Exit, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return Exit{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	w := &wire{conn: conn}
	if err := w.writeJSON(frameRequest, request{Verb: verbExec, Exec: process}); err != nil {
		return Exit{}, lost(ctx, err)
	}
	go send(w, streams.Stdin)
	if streams.Resize != nil {
		over := make(chan struct{})
		defer close(over)
		go func() {
			for {
				select {
				case size, ok := <-streams.Resize:
					if !ok || w.write(frameResize, resizePayload(size[0], size[1])) != nil {
						return
					}
				case <-over:
					return
				}
			}
		}()
	}
	for {
		kind, payload, err := w.read()
		if err != nil {
			return Exit{}, lost(ctx, err)
		}
		var out io.Writer
		switch kind {
		case frameAnswer:
			a, err := decode(payload)
			if err != nil || a.Exit == nil {
				return Exit{}, orGone(err)
			}
			return *a.Exit, nil
		case frameStdout:
			out = streams.Stdout
		case frameStderr:
			out = streams.Stderr
		}
		if out != nil {
			if _, err := out.Write(payload); err != nil {
				return Exit{}, fmt.Errorf("write output: %w", err)
			}
		}
	}
}

// send carries stdin. A reader that blocks for ever keeps this goroutine, not the process.
func send(w *wire, stdin io.Reader) {
	if stdin != nil {
		buf := make([]byte, 32<<10)
		for {
			n, err := stdin.Read(buf)
			if n > 0 && w.write(frameStdin, buf[:n]) != nil {
				return
			}
			if err != nil {
				break
			}
		}
	}
	_ = w.write(frameClose, nil) // a process that has ended meanwhile needs no end of input
}
