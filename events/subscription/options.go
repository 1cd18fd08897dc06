package subscription

import (
	"fmt"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Option says what is subscribed to, from where on, and what is done with it.
type Option func(*settings)

// settings is a whole subscription.
type settings struct {
	filter   filter
	handlers []handler
	from     uint64 // 0: from the start
	now      bool
	store    Store
	gap      func(Gap) error
	first    time.Duration // pause before an event is tried again; 0: not at all
	most     time.Duration
}

// Aggregates takes the events of these kinds of things alone.
func Aggregates(kinds ...events.Aggregate) Option {
	return func(s *settings) { s.filter.aggregates = append(s.filter.aggregates, kinds...) }
}

// Namespace takes the events alone whose subject names the namespace: those of workloads, instances, their reports and why they are unplaced.
func Namespace(name string) Option { return func(s *settings) { s.filter.namespace = name } }

// Workload takes the events of workloads of this name and of their instances alone.
func Workload(name string) Option { return func(s *settings) { s.filter.workload = name } }

// Instance takes the events of instances of this name alone.
func Instance(name string) Option { return func(s *settings) { s.filter.instance = name } }

// Node takes the events of this node alone: its health, its ledger and its agent's reports.
func Node(name string) Option { return func(s *settings) { s.filter.on = name } }

// Types takes the events of these wire types alone, such as run.rutter.node.lost.v1, or run.rutter.node.lost for every version there will be.
func Types(wireTypes ...string) Option {
	return func(s *settings) { s.filter.types = append(s.filter.types, wireTypes...) }
}

// FromStart begins with the first event of the log. It is the default.
func FromStart() Option { return From(1) }

// From begins with the event at a sequence, or the first after it that is asked for. A position that is kept goes before.
func From(sequence uint64) Option { return func(s *settings) { s.from, s.now = sequence, false } }

// FromNow begins with what happens from now on. A position that is kept goes before.
func FromNow() Option { return func(s *settings) { s.now = true } }

// Durable keeps the position, so that the next run goes on after the last event handled. Without it a subscription is ephemeral.
func Durable(store Store) Option { return func(s *settings) { s.store = store } }

// OnGap is called where events are missing: nil goes on after them, an error ends the subscription. Without it a gap ends the
// subscription with [events.ErrGap].
func OnGap(decide func(Gap) error) Option { return func(s *settings) { s.gap = decide } }

// Retry tries an event again whose handling failed, for ever, after a pause that doubles from first to most. Without it the error ends the
// subscription, and a durable one begins with that event at the next run.
func Retry(first, most time.Duration) Option {
	return func(s *settings) { s.first, s.most = max(first, time.Millisecond), max(first, most) }
}

// Gap is a part of the log that is not there any more, both ends included.
type Gap struct{ From, To uint64 }

// Error implements error.
func (g Gap) Error() string { return fmt.Sprintf("events %d to %d: %v", g.From, g.To, events.ErrGap) }

// Unwrap is [events.ErrGap].
func (g Gap) Unwrap() error { return events.ErrGap }

// subscribe puts the options together.
func subscribe(options []Option) (*settings, []string, error) {
	s := &settings{gap: func(g Gap) error { return g }}
	for _, option := range options {
		option(s)
	}
	if len(s.handlers) == 0 {
		return nil, nil, fmt.Errorf("subscribe: no handler: want On, Any or Else: %w", events.ErrInvalid)
	}
	wide := s.filter
	if !s.openEnded() {
		// Only what the handlers can take needs to come.
		wide.aggregates = nil
		for _, h := range s.handlers {
			if a := aggregateOf(h.wireType); s.filter.takes(a) && s.filter.passes(h.wireType) && !slices.Contains(wide.aggregates, a) {
				wide.aggregates = append(wide.aggregates, a)
			}
		}
		if len(wide.aggregates) == 0 {
			return nil, nil, fmt.Errorf("subscribe: the filter leaves nothing of what the handlers take: %w", events.ErrInvalid)
		}
	}
	patterns, err := wide.patterns()
	if err != nil {
		return nil, nil, fmt.Errorf("subscribe: %w", err)
	}
	return s, patterns, nil
}

// openEnded reports whether a handler takes more than one type.
func (s *settings) openEnded() bool {
	for _, h := range s.handlers {
		if h.wireType == "" {
			return true
		}
	}
	return false
}
