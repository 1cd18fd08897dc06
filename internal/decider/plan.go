package decider

import (
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Turn is all that a service decides on.
type Turn struct {
	View     *projections.Cluster
	Commands []Pending
	Now      time.Time
	Limit    int // events that the plan may hold
}

// Plan is what a service wants to be appended, whole or not at all.
type Plan struct {
	Batch  events.Batch
	WakeAt time.Time // when to plan again although nothing happened; zero: no such time
	More   bool      // the limit cut the plan short: plan again once it is committed
	Notes  []Note    // what was not done, and why
}

// Note says why something was not done now.
type Note struct {
	About string    // such as default/web slot 2
	Why   string    // such as "waits for web-2-3 to be ready"
	Until time.Time // zero: until something happens
}

// Wake moves the time to plan again forward to at, unless it is earlier already.
func (p *Plan) Wake(at time.Time) {
	if p.WakeAt.IsZero() || at.Before(p.WakeAt) {
		p.WakeAt = at
	}
}

// Draft collects the events of a plan, subject by subject, and shows the state that they lead to.
type Draft struct {
	base  *projections.Cluster
	view  *projections.Cluster // base with the events folded in that were added before it was last looked at
	fresh []events.Event       // added since
	batch events.Batch
	write map[events.Subject]int // index in batch
	room  int
}

// NewDraft begins a plan on a view, for at most limit events.
func NewDraft(base *projections.Cluster, limit int) *Draft {
	return &Draft{base: base, view: base, write: map[events.Subject]int{}, room: limit}
}

// View is the state with all that was added so far.
func (d *Draft) View() *projections.Cluster {
	if len(d.fresh) > 0 {
		d.view = d.view.With(d.fresh...)
		d.fresh = d.fresh[:0]
	}
	return d.view
}

// Room is how many events may still be added.
func (d *Draft) Room() int { return d.room }

// Add appends events in order. Each subject is expected to be where the view that the draft began with has it.
func (d *Draft) Add(more ...events.Event) {
	for _, e := range more {
		at, ok := d.write[e.Subject]
		if !ok {
			at = len(d.batch)
			d.write[e.Subject] = at
			d.batch = append(d.batch, events.Write{Subject: e.Subject, Expect: d.base.Head(e.Subject)})
		}
		d.batch[at].Events = append(d.batch[at].Events, e)
	}
	d.room -= len(more)
	d.fresh = append(d.fresh, more...)
}

// Batch is all that was added.
func (d *Draft) Batch() events.Batch { return d.batch }
