package subscription

import (
	"context"

	"github.com/rutter-run/rutter/events"
)

// handler takes the events that it is meant for.
type handler struct {
	wireType string // empty: any
	rest     bool   // only what no other handler takes
	takes    func(e events.Event) bool
	handle   func(ctx context.Context, e events.Event) error
}

// On handles the events of one type, such as node.LostV1. An older version of the type arrives as the one asked for where package catalog
// knows the way; a newer one is another type, which [Else] takes.
func On[P events.Payload](handle func(ctx context.Context, e events.Event, data P) error) Option {
	var zero P
	return func(s *settings) {
		s.handlers = append(s.handlers, handler{
			wireType: zero.WireType(),
			takes:    func(e events.Event) bool { _, ok := e.Data.(P); return ok },
			handle:   func(ctx context.Context, e events.Event) error { return handle(ctx, e, e.Data.(P)) },
		})
	}
}

// Any handles every event that passes the filter, those of unknown types ([events.Unknown]) and malformed ones ([events.Malformed]) as well.
func Any(handle func(ctx context.Context, e events.Event) error) Option {
	return func(s *settings) { s.handlers = append(s.handlers, handler{takes: everything, handle: handle}) }
}

// Else handles every event that passes the filter and that no [On] takes, as [Any] would.
func Else(handle func(ctx context.Context, e events.Event) error) Option {
	return func(s *settings) {
		s.handlers = append(s.handlers, handler{rest: true, takes: everything, handle: handle})
	}
}

func everything(events.Event) bool { return true }

// takers are the handlers that an event is for, in the order in which they were given.
func (s *settings) takers(e events.Event) (takers []handler) {
	if !s.filter.passes(e.Type) {
		return nil
	}
	for _, rest := range []bool{false, true} {
		if rest && len(takers) > 0 {
			break
		}
		for _, h := range s.handlers {
			if h.rest == rest && h.takes(e) {
				takers = append(takers, h)
			}
		}
	}
	return takers
}

// dispatch hands an event to its takers.
func dispatch(ctx context.Context, e events.Event, takers []handler) error {
	for _, h := range takers {
		if err := h.handle(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
