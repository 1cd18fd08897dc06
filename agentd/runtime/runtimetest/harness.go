package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// clear takes all of the test away, and with it everything must be gone.
func (h *harness) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := h.rt.List(ctx)
	h.must(err)
	for _, s := range all {
		if s.Instance == h.instance {
			h.must(h.rt.Remove(ctx, s.ID))
		}
	}
	h.must(h.rt.RemoveSandbox(ctx, h.instance))
	if h.Leftovers != nil {
		if left := h.Leftovers(h.T); len(left) > 0 {
			h.Errorf("left on the machine:\n%s", strings.Join(left, "\n"))
		}
	}
	h.must(h.rt.Close())
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) mustBe(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("error %v, want %v", err, want)
	}
}

// program is what a container does.
type program struct {
	script string // of sh
	sim    []spec.EnvVar
	spec   spec.Container
}

func exits(code int, after time.Duration) program {
	return program{
		script: fmt.Sprintf("sleep %g; exit %d", after.Seconds(), code),
		sim:    []spec.EnvVar{{Name: "SIM_EXIT_AFTER", Value: after.String()}, {Name: "SIM_EXIT_CODE", Value: fmt.Sprint(code)}},
	}
}

// runs goes on until it is stopped. The first process of a pid namespace gets only signals that it handles.
var runs = program{script: `trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done`}

// ignores goes on whatever it is asked.
var ignores = program{script: `trap '' TERM; echo ready; while :; do sleep 1000; done`, sim: []spec.EnvVar{{Name: "SIM_STOP_DELAY", Value: "1h"}}}

// script runs only where commands do.
func script(lines string) program { return program{script: lines} }

// config asks for a new container of the instance.
func (h *harness) config(p program) runtime.ContainerConfig {
	h.runs++
	c := p.spec
	c.Name = "main"
	if len(c.Command) == 0 && p.script != "" {
		c.Command = []string{"/bin/sh", "-c", p.script}
	}
	return runtime.ContainerConfig{
		ID: fmt.Sprintf("%s.main.%d", h.instance, h.runs), Instance: h.instance, Spec: c, Image: h.image, Env: p.sim,
		Labels: map[string]string{"of": "test"},
	}
}

// start runs a program in a new container.
func (h *harness) start(p program) (id string) {
	h.Helper()
	config := h.config(p)
	h.must(h.rt.Create(h.ctx, config))
	s, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if s.State == runtime.StateCreated || s.StartedAt.IsZero() {
		h.Fatalf("after its start it is %+v", s)
	}
	return config.ID
}

// ready starts a program and waits until it has said so.
func (h *harness) ready(p program) (id string) {
	h.Helper()
	id = h.start(p)
	h.minds(id)
	return id
}

// minds waits until a program has said that it is ready: before, it would not mind a signal.
func (h *harness) minds(id string) {
	h.Helper()
	if h.Real {
		h.until(id, "ready")
	}
}

var errEnough = errors.New("enough")

// until waits for a line in the log.
func (h *harness) until(id, text string) {
	h.Helper()
	err := h.rt.Logs(h.ctx, id, runtime.LogOptions{Follow: true, Tail: -1}, func(l runtime.LogLine) error {
		if string(l.Text) == text {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		h.Fatalf("the log of %s ends without %q: %v", id, text, err)
	}
}

func (h *harness) wait(id string) runtime.Status {
	h.Helper()
	s, err := h.rt.Wait(h.ctx, id)
	h.must(err)
	if s.State != runtime.StateExited || s.PID != 0 || s.ExitedAt.Before(s.StartedAt) {
		h.Fatalf("after its end it is %+v", s)
	}
	return s
}

// one is the container's entry in the list.
func (h *harness) one(id string) runtime.Status {
	h.Helper()
	all, err := h.rt.List(h.ctx)
	h.must(err)
	i := slices.IndexFunc(all, func(s runtime.Status) bool { return s.ID == id })
	if i < 0 || slices.ContainsFunc(all[i+1:], func(s runtime.Status) bool { return s.ID == id }) {
		h.Fatalf("%s is not listed once: %+v", id, all)
	}
	return all[i]
}

// lines reads the log, parts joined, as "stream text".
func (h *harness) lines(id string, options runtime.LogOptions) (lines []string) {
	h.Helper()
	rest := map[string]string{}
	err := h.rt.Logs(h.ctx, id, options, func(l runtime.LogLine) error {
		rest[l.Stream] += string(l.Text)
		if !l.Partial {
			lines = append(lines, l.Stream+" "+rest[l.Stream])
			delete(rest, l.Stream)
		}
		return nil
	})
	h.must(err)
	return lines
}
