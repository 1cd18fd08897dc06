package logtest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

var errStop = errors.New("seen enough")

var followCases = map[string]func(*testing.T, Fixture){
	"from a sequence to the end and on": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), Subject()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: Facts(string(subject), 500)}})
		require.NoError(t, err)
		from := last - 400
		next, live := from, last
		err = f.Log(t).Follow(ctx, from, func(e events.Event, pending uint64) error {
			require.Equal(t, next, e.Sequence)
			next++
			if pending == 0 && e.Sequence == live {
				if live == last+3 {
					return errStop
				}
				// It has caught up: what is written now comes as well.
				live, err = log.Append(ctx, One(subject, live, Name("e")))
				require.NoError(t, err)
			}
			return nil
		})
		require.Equal(t, errStop, err, "the handler's error comes back as it is")
	},
	"nothing is between the events": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), Subject()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: Facts(string(subject), 1000)}})
		require.NoError(t, err)
		next, remaining := uint64(1), last
		err = log.Follow(ctx, 0, func(e events.Event, pending uint64) error {
			require.Equal(t, next, e.Sequence)
			next++
			remaining--
			require.Equal(t, remaining == 0, pending == 0)
			if pending == 0 {
				return errStop
			}
			return nil
		})
		require.ErrorIs(t, err, errStop)
		require.Equal(t, last+1, next)
	},
	"while it is written": func(t *testing.T, f Fixture) {
		writer, reader, ctx, subject := f.Log(t), f.Log(t), Context(t), Subject()
		first, err := writer.Append(ctx, One(subject, 0, Name("e")))
		require.NoError(t, err)
		const more = 300
		written := make(chan struct{})
		go func() {
			defer close(written)
			at := first
			for range more {
				next, err := writer.Append(ctx, One(subject, at, Name("e")))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				at = next
			}
		}()
		seen := 0
		err = reader.Follow(ctx, first, func(e events.Event, _ uint64) error {
			if e.Subject == subject {
				seen++
			}
			if seen == more+1 {
				return errStop
			}
			return nil
		})
		require.ErrorIs(t, err, errStop)
		Receive(t, ctx, "the writer to end", written)
	},
	"until the context is done": func(t *testing.T, f Fixture) {
		log := f.Log(t)
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		_, err := log.Append(ctx, One(Subject(), 0, Name("e")))
		require.NoError(t, err)
		err = log.Follow(ctx, 0, func(events.Event, uint64) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
		// And where there is nothing to wake it.
		ctx, cancel = context.WithCancel(Context(t))
		cancel()
		require.ErrorIs(t, log.Follow(ctx, 1<<40, func(events.Event, uint64) error { return nil }), context.Canceled)
	},
	"types that this version does not know": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), Subject()
		e := Fact(Name("e"))
		e.Data = events.Unknown{Type: "run.rutter.node.promoted.v9", Raw: json.RawMessage(`{"rank":"admiral"}`)}
		e.Type = e.Data.WireType()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: []events.Event{e}}})
		require.NoError(t, err)
		err = log.Follow(ctx, last, func(got events.Event, _ uint64) error {
			require.Equal(t, e.Data, got.Data)
			return errStop
		})
		require.ErrorIs(t, err, errStop)
	},
}

var readCases = map[string]func(*testing.T, Fixture){
	"one subject's history": func(t *testing.T, f Fixture) {
		log, ctx, a, b := f.Log(t), Context(t), f.Subject(), f.Subject()
		require.Empty(t, Gather(t, log, a, 0))
		_, err := log.LastOf(ctx, a)
		require.ErrorIs(t, err, events.ErrNotFound)
		_, err = log.Append(ctx, events.Batch{{Subject: a, Events: f.Facts(string(a), 3)}, {Subject: b, Events: f.Facts(string(b), 400)}})
		require.NoError(t, err)
		require.Equal(t, IDs(f.Facts(string(a), 3)), IDs(Gather(t, log, a, 0)))
		all := Gather(t, log, b, 0)
		require.Equal(t, IDs(f.Facts(string(b), 400)), IDs(all))
		require.Equal(t, all[100:], Gather(t, log, b, all[100].Sequence))
		require.Empty(t, Gather(t, log, b, all[399].Sequence+1))
		last, err := log.LastOf(ctx, b)
		require.NoError(t, err)
		require.Equal(t, all[399], last)
	},
	"the handler's error comes back as it is": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		_, err := log.Append(ctx, events.Batch{{Subject: subject, Events: f.Facts(string(subject), 3)}})
		require.NoError(t, err)
		seen := 0
		err = log.Read(ctx, subject, 0, func(events.Event) error {
			if seen++; seen == 2 {
				return errStop
			}
			return nil
		})
		require.Equal(t, errStop, err)
		require.Equal(t, 2, seen)
	},
	"until the context is done": func(t *testing.T, f Fixture) {
		log, subject := f.Log(t), f.Subject()
		_, err := log.Append(Context(t), events.Batch{{Subject: subject, Events: f.Facts(string(subject), 3)}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		err = log.Read(ctx, subject, 0, func(events.Event) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
	},
}

var subscribeCases = map[string]func(*testing.T, Fixture){
	"each new event and the one before it": func(t *testing.T, f Fixture) {
		writer, reader, subject, other := f.Log(t), f.Log(t), Subject(), Subject()
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		at, err := writer.Append(ctx, One(subject, 0, Name("before")))
		require.NoError(t, err)
		type heard struct {
			e        events.Event
			previous uint64
		}
		synced, live, ended := make(chan struct{}, 8), make(chan heard, 8), make(chan error, 1)
		go func() {
			ended <- reader.Subscribe(ctx, subject, func() { synced <- struct{}{} }, func(e events.Event, previous uint64) { live <- heard{e, previous} })
		}()
		Receive(t, ctx, "synced", synced)
		for range 3 {
			batch := append(One(other, 0, Name("e")), events.Write{Subject: subject, Expect: at, Events: Facts(Name("e"), 2)})
			other = Subject()
			last, err := writer.Append(ctx, batch)
			require.NoError(t, err)
			for i, want := range batch[1].Events {
				got := Receive(t, ctx, "a live event", live)
				require.Equal(t, want.ID, got.e.ID)
				require.Equal(t, want.Data, got.e.Data)
				require.Equal(t, last-1+uint64(i), got.e.Sequence)
				require.Equal(t, at, got.previous)
				require.NotZero(t, got.e.Recorded)
				at = got.e.Sequence
			}
		}
		cancel()
		require.ErrorIs(t, Receive(t, Context(t), "the end", ended), context.Canceled)
		require.Empty(t, live)
	},
	"the first event has none before it": func(t *testing.T, f Fixture) {
		writer, reader, subject, ctx := f.Log(t), f.Log(t), Subject(), Context(t)
		synced, previous := make(chan struct{}, 8), make(chan uint64, 1)
		go func() {
			_ = reader.Subscribe(ctx, subject, func() { synced <- struct{}{} }, func(_ events.Event, before uint64) { previous <- before })
		}()
		Receive(t, ctx, "synced", synced)
		_, err := writer.Append(ctx, One(subject, 0, Name("e")))
		require.NoError(t, err)
		require.Zero(t, Receive(t, ctx, "the event", previous))
	},
}
