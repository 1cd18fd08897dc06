package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
)

var everything = runtime.LogOptions{Tail: -1}

func testLogsFollow(h *harness) {
	id := h.start(exits(0, 300*time.Millisecond))
	// It returns by itself when the container has ended, and has all by then.
	followed := h.lines(id, runtime.LogOptions{Tail: -1, Follow: true})
	h.wait(id)
	if all := h.lines(id, everything); !slices.Equal(all, followed) {
		h.Fatalf("followed %q, in the log are %q", followed, all)
	}
	// Who goes is not kept.
	id = h.start(runs)
	brief, cancel := context.WithTimeout(h.ctx, 20*time.Millisecond)
	defer cancel()
	h.must(h.rt.Logs(brief, id, runtime.LogOptions{Tail: -1, Follow: true}, func(runtime.LogLine) error { return nil }))
	stop := errors.New("stop")
	h.mustBe(h.rt.Logs(h.ctx, id, runtime.LogOptions{Tail: -1, Follow: true}, func(runtime.LogLine) error { return stop }), stop)
}

func testLogStreams(h *harness) {
	id := h.start(script("echo one; echo two >&2; printf three"))
	h.wait(id)
	lines := h.lines(id, everything)
	slices.Sort(lines) // the streams are two pipes
	if want := []string{"stderr two", "stdout one", "stdout three"}; !slices.Equal(lines, want) {
		h.Fatalf("%q, want %q", lines, want)
	}
}

func testLogTailAndSince(h *harness) {
	id := h.start(script("for i in 1 2 3; do echo early $i; done; sleep 0.5; for i in 1 2 3; do echo late $i; done"))
	h.wait(id)
	for tail, want := range map[int][]string{
		0: nil, 1: {"stdout late 3"}, 4: {"stdout early 3", "stdout late 1", "stdout late 2", "stdout late 3"},
	} {
		if lines := h.lines(id, runtime.LogOptions{Tail: tail}); !slices.Equal(lines, want) {
			h.Errorf("tail %d: %q, want %q", tail, lines, want)
		}
	}
	if lines := h.lines(id, runtime.LogOptions{Tail: 100}); len(lines) != 6 {
		h.Errorf("the last 100 of 6 lines are %d", len(lines))
	}
	var late time.Time
	h.must(h.rt.Logs(h.ctx, id, everything, func(l runtime.LogLine) error {
		if string(l.Text) == "late 1" {
			late = l.Time
		}
		return nil
	}))
	if lines := h.lines(id, runtime.LogOptions{Tail: -1, Since: late}); len(lines) != 3 {
		h.Errorf("since the late ones: %q", lines)
	}
}

func testLogLongLines(h *harness) {
	const long = 100_000
	id := h.start(script(fmt.Sprintf("echo first; dd if=/dev/zero bs=%d count=1 2>/dev/null | tr '\\0' x; echo; echo last", long)))
	h.wait(id)
	lines := h.lines(id, everything)
	if want := []string{"stdout first", "stdout " + strings.Repeat("x", long), "stdout last"}; !slices.Equal(lines, want) {
		h.Fatalf("%d lines, want a long one between two", len(lines))
	}
	// Parts of one line count as one.
	if lines := h.lines(id, runtime.LogOptions{Tail: 2}); len(lines) != 2 || len(lines[0]) != long+len("stdout ") {
		h.Fatalf("the last two lines are %d", len(lines))
	}
}

// testLogRotation writes more than a log file holds; a follower sees every line, in order.
func testLogRotation(h *harness) {
	const n = 20_000
	id := h.start(script(fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i of this container; i=$((i+1)); done", n)))
	lines := h.lines(id, runtime.LogOptions{Tail: -1, Follow: true})
	if len(lines) != n {
		h.Fatalf("%d lines of %d", len(lines), n)
	}
	for i, l := range lines {
		if l != fmt.Sprintf("stdout line %d of this container", i) {
			h.Fatalf("line %d is %q", i, l)
		}
	}
	if tail := h.lines(id, runtime.LogOptions{Tail: n / 2}); !slices.Equal(tail, lines[n/2:]) {
		h.Fatalf("the last %d lines are %d others", n/2, len(tail))
	}
}

func testLogOutlivesContainer(h *harness) {
	id := h.start(script("echo kept"))
	h.wait(id)
	h.must(h.rt.Remove(h.ctx, id))
	if lines := h.lines(id, runtime.LogOptions{Tail: -1, Follow: true}); !slices.Equal(lines, []string{"stdout kept"}) {
		h.Fatalf("%q", lines)
	}
	h.must(h.rt.RemoveSandbox(h.ctx, h.instance))
	h.mustBe(h.rt.Logs(h.ctx, id, everything, func(runtime.LogLine) error { return nil }), runtime.ErrNotFound)
}
