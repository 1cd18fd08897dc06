// Package probe asks containers how they are. What is due and what answers come to is decided purely (health.go); asking is the
// business of ask.go, and package agentd does both for each run of a container.
package probe

import (
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// Kind is what a probe is for.
type Kind string

// The kinds.
const (
	Startup   Kind = "startup"
	Liveness  Kind = "liveness"
	Readiness Kind = "readiness"
)

// kinds in the order in which they are asked where several are due.
var kinds = [...]Kind{Startup, Liveness, Readiness}

// of is the container's probe of a kind, nil where it has none.
func of(c spec.Container, k Kind) *spec.Probe {
	switch k {
	case Startup:
		return c.StartupProbe
	case Liveness:
		return c.LivenessProbe
	default:
		return c.ReadinessProbe
	}
}

// Verdict is what the answers to one probe have come to.
type Verdict int

// The verdicts.
const (
	Unknown Verdict = iota
	Passing
	Failing
)

// Track is one probe of one run.
type Track struct {
	Verdict Verdict
	Good    int // good answers in a row
	Bad     int // bad answers in a row
	Asked   time.Time
}

// Health is all probes of one run of a container.
type Health struct {
	Started time.Time // the run
	tracks  [len(kinds)]Track
}

// Begin is a run's health before it was asked anything. up: its startup probe has passed before; ready: it was ready when an earlier agent
// last looked.
func Begin(c spec.Container, started time.Time, up, ready bool) Health {
	h := Health{Started: started}
	if up || c.StartupProbe == nil {
		h.at(Startup).Verdict = Passing
	}
	if ready || c.ReadinessProbe == nil {
		h.at(Readiness).Verdict = Passing
	}
	return h
}

func (h *Health) at(k Kind) *Track {
	for i := range kinds {
		if kinds[i] == k {
			return &h.tracks[i]
		}
	}
	panic("no such probe: " + k)
}

// Of is how a probe stands.
func (h Health) Of(k Kind) Track { return *h.at(k) }

// Up reports whether the container has started, by its startup probe's word.
func (h Health) Up() bool { return h.Of(Startup).Verdict == Passing }

// Ready reports whether the container is ready: it has started, and its readiness probe passes.
func (h Health) Ready() bool { return h.Up() && h.Of(Readiness).Verdict == Passing }

// Next is the probe to ask next and when. The startup probe holds the others back until it has passed, and is not asked again then. Without
// anything to ask, ever, ok is false.
func (h Health) Next(c spec.Container) (k Kind, at time.Time, ok bool) {
	for _, kind := range kinds {
		p := of(c, kind)
		if p == nil || (kind == Startup) == h.Up() {
			continue
		}
		due := h.Started.Add(time.Duration(p.InitialDelaySeconds) * time.Second)
		if asked := h.Of(kind).Asked; !asked.IsZero() && asked.Add(p.Period()).After(due) {
			due = asked.Add(p.Period())
		}
		if !ok || due.Before(at) {
			k, at, ok = kind, due, true
		}
	}
	return k, at, ok
}

// Answer is what a container said to one question.
type Answer struct {
	Good    bool
	Message string // what is wrong
}

// Change is what an answer has changed.
type Change int

// The changes.
const (
	None     Change = iota
	NowReady        // it was not ready and is
	NotReady        // its readiness probe fails
	Finished        // a liveness or startup probe fails: the run is to end
)

// Take takes an answer to a probe that was asked at a time into account, and says what it changed and why.
func (h Health) Take(c spec.Container, k Kind, a Answer, asked time.Time) (Health, Change, string) {
	p := of(c, k)
	if p == nil {
		return h, None, ""
	}
	before := h.Ready()
	t := h.at(k)
	t.Asked = asked
	if a.Good {
		t.Good, t.Bad = t.Good+1, 0
	} else {
		t.Good, t.Bad = 0, t.Bad+1
	}
	failed := t.Verdict
	switch {
	case a.Good && t.Good >= max(1, p.SuccessThreshold):
		t.Verdict = Passing
	case !a.Good && t.Bad >= max(1, p.FailureThreshold):
		t.Verdict = Failing
	}
	switch {
	case t.Verdict == Failing && failed != Failing && k != Readiness:
		return h, Finished, fmt.Sprintf("%s probe failed %s: %s", k, times(t.Bad), a.Message)
	case t.Verdict == Failing && failed != Failing:
		return h, NotReady, fmt.Sprintf("%s probe failed %s: %s", k, times(t.Bad), a.Message)
	case !before && h.Ready():
		return h, NowReady, ""
	}
	return h, None, ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
