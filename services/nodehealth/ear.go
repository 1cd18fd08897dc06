package nodehealth

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// ear remembers what was heard. Its times are read from this process's clock with their monotonic part.
type ear struct {
	timing Timing
	self   events.Heartbeat // the own pulse, without its time

	mu      sync.Mutex
	hearing Hearing
	seen    map[string]string // node → incarnation that its Noticed is of
}

func newEar(timing Timing, self events.Heartbeat) *ear {
	return &ear{timing: timing, self: self, hearing: Hearing{Pulses: map[string]Pulse{}}, seen: map[string]string{}}
}

// hear notes a pulse and reports whether it may change a judgement about the node, given how the log has it.
func (e *ear) hear(beat events.Heartbeat, at time.Time, view *projections.Cluster) (news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if beat.Node == e.self.Node {
		if beat.Incarnation != e.self.Incarnation {
			return false // of the process before this one
		}
		// What happened while nothing was heard is nobody's fault.
		if news = e.hearing.Self.IsZero() || at.Sub(e.hearing.Self) > e.timing.SuspectAfter; news {
			e.hearing.Since = at
		}
		e.hearing.Self = at
		return news
	}
	if strings.HasPrefix(beat.Node, SelfPrefix) {
		return false // of another node-health
	}
	// A node that the log does not have yet is about to join: then it need not wait for its next pulse.
	p := e.hearing.Pulses[beat.Node]
	p.Beat, p.Heard = beat, at
	n, ok := view.Node(beat.Node)
	if ok && beat.Incarnation == n.Incarnation {
		news = n.Health != projections.Healthy || n.Ready != beat.Ready
		if e.seen[beat.Node] == beat.Incarnation {
			p.Present = at
		}
	} else if ok {
		_, news = n.Registered(beat.Incarnation)
	}
	e.hearing.Pulses[beat.Node] = p
	return news
}

// afresh gives every node a whole period before it is judged.
func (e *ear) afresh(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hearing.Since = at
}

// at is what was heard, brought up to what the log says of the nodes.
func (e *ear) at(view *projections.Cluster, now time.Time) Hearing {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, p := range e.hearing.Pulses {
		if n, ok := view.Node(name); (!ok || n.Health == projections.Left) && now.Sub(p.Heard) > e.timing.LostAfter {
			delete(e.hearing.Pulses, name) // it never joined, or is gone
			delete(e.seen, name)
		}
	}
	for n := range view.Nodes() {
		if n.Health == projections.Left {
			delete(e.seen, n.Name)
			continue
		}
		p := e.hearing.Pulses[n.Name]
		if e.seen[n.Name] != n.Incarnation || p.Noticed.IsZero() {
			e.seen[n.Name], p.Noticed, p.Present = n.Incarnation, now, time.Time{}
		}
		switch {
		case n.Health != projections.Suspected:
			p.Suspected = time.Time{}
		case p.Suspected.IsZero():
			p.Suspected = now
		}
		e.hearing.Pulses[n.Name] = p
	}
	h := e.hearing
	h.Pulses = maps.Clone(h.Pulses)
	return h
}
