package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

func testExec(h *harness) {
	id := h.ready(runs)
	var stdout, stderr bytes.Buffer
	code, err := h.rt.Exec(h.ctx, id, runtime.ExecOptions{
		Command: []string{"sh", "-c", "cat; echo $GREETING >&2; exit 3"}, Stdin: strings.NewReader("from outside"),
		Env: []spec.EnvVar{{Name: "GREETING", Value: "hello"}}, Stdout: &stdout, Stderr: &stderr,
	})
	h.must(err)
	if code != 3 || stdout.String() != "from outside" || stderr.String() != "hello\n" {
		h.Fatalf("exit %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
	// Much output, none of it lost, and no input at all.
	stdout.Reset()
	code, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", "cat; dd if=/dev/zero bs=1M count=8 2>/dev/null"}, Stdout: &stdout})
	h.must(err)
	if code != 0 || stdout.Len() != 8<<20 {
		h.Fatalf("exit %d and %d bytes", code, stdout.Len())
	}
	// Output that nobody wants, and a process in the background that keeps it open.
	code, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", "sleep 1000 & echo x; exit 4"}})
	h.must(err)
	if code != 4 {
		h.Fatalf("exit %d", code)
	}
	code, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", "kill -9 $$"}})
	h.must(err)
	if code != 137 {
		h.Fatalf("killed, it exits with %d", code)
	}
	_, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"no-such-program"}})
	h.mustBe(err, runtime.ErrBadConfig)
	if !strings.Contains(err.Error(), "no-such-program") {
		h.Fatalf("%v does not name the program", err)
	}
}

func testExecTerminal(h *harness) {
	id := h.ready(runs)
	keys, typed := io.Pipe()
	defer keys.Close()
	sizes := make(chan runtime.TerminalSize, 1)
	sizes <- runtime.TerminalSize{Width: 123, Height: 45}
	go func() {
		// It ends when the size has come.
		fmt.Fprintf(typed, "until [ \"$(stty size)\" = '45 123' ]; do :; done; tty; exit 5\n")
	}()
	var screen bytes.Buffer
	code, err := h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"sh"}, TTY: true, Stdin: keys, Stdout: &screen, Resize: sizes})
	h.must(err)
	if code != 5 || !strings.Contains(screen.String(), "/dev/pts/") {
		h.Fatalf("exit %d, screen %q", code, &screen)
	}
}

// firstWrite calls a function when something is written.
type firstWrite func()

func (f firstWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// endless is input without an end.
type endless struct{ pieces atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.pieces.Add(1)
	return len(p), nil
}

// stuck returns once nobody takes any more of it.
func (e *endless) stuck(ctx context.Context) {
	for before := int64(-1); ctx.Err() == nil && e.pieces.Load() != before; {
		before = e.pieces.Load()
		time.Sleep(300 * time.Millisecond)
	}
}

// testExecGivenUp leaves no process behind when the client goes: neither the one asked for nor what it has put into the background, and
// also where the process has not read what it was sent.
func testExecGivenUp(h *harness) {
	id := h.ready(runs)
	for name, script := range map[string]string{
		"alone":              "echo x; exec sleep 12345",
		"with a background":  "sleep 12345 & (sleep 12345 &) ; echo x; sleep 12345",
		"with other session": "setsid sleep 12345 & echo x; sleep 12345",
	} {
		ctx, cancel := context.WithCancel(h.ctx)
		_, err := h.rt.Exec(ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", script}, Stdout: firstWrite(cancel)})
		if !errors.Is(err, context.Canceled) {
			h.Fatalf("%s, given up: %v", name, err)
		}
		h.untilNone(id, name)
	}
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	// As much as there is room for between client and process: the pipe, the queue and the socket.
	input := &endless{}
	go func() {
		input.stuck(ctx)
		cancel()
	}()
	_, err := h.rt.Exec(ctx, id, runtime.ExecOptions{Command: []string{"sleep", "12345"}, Stdin: input})
	if !errors.Is(err, context.Canceled) {
		h.Fatalf("given up: %v", err)
	}
	h.untilNone(id, "unread input")
}

// untilNone waits until no process of testExecGivenUp is left in the container.
func (h *harness) untilNone(id, name string) {
	h.Helper()
	var left bytes.Buffer
	code, err := h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", "while pgrep -f 'sleep 1234[5]'; do sleep 0.01; done"}, Stdout: &left})
	if err != nil || code != 0 {
		h.Fatalf("%s: exit %d: %v; left: %s", name, code, err, &left)
	}
}

// testSharedNetwork has the containers of an instance on one loopback, and the instance at its address.
func testSharedNetwork(h *harness) {
	server := h.start(script("exec httpd -f -p 8080 -h /etc"))
	client := h.start(script("until wget -q -O - http://127.0.0.1:8080/hostname; do sleep 0.05; done; cat /etc/hosts"))
	if s := h.wait(client); s.ExitCode != 0 {
		h.Fatalf("the client ended as %+v: %q", s, h.lines(client, everything))
	}
	lines := strings.Join(h.lines(client, everything), "\n")
	for _, want := range []string{h.sandbox.Addresses[0].String(), "stdout host-"} {
		if !strings.Contains(lines, want) {
			h.Errorf("%q is not in %q", want, lines)
		}
	}
	answer, err := http.Get("http://" + net.JoinHostPort(h.sandbox.Addresses[0].String(), "8080") + "/hostname")
	h.must(err)
	said, err := io.ReadAll(answer.Body)
	h.must(errors.Join(err, answer.Body.Close()))
	if !strings.HasPrefix(string(said), "host-") {
		h.Errorf("from the node: %q", said)
	}
	h.must(h.rt.Stop(h.ctx, server, "SIGKILL", 0))
}
