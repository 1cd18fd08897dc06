package logtest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

var appendCases = map[string]func(*testing.T, Fixture){
	"every attribute comes back": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		e := f.Fact(Name("e"))
		e.Correlation = `web: Ada's "€ 😀" 100%`
		e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: []events.Event{e}}})
		require.NoError(t, err)
		got, err := log.LastOf(ctx, subject)
		require.NoError(t, err)
		require.NotZero(t, got.Recorded)
		e.Subject, e.Sequence, e.Recorded = subject, last, got.Recorded
		require.Equal(t, e, got)
	},
	"a batch stands together and in order": func(t *testing.T, f Fixture) {
		log, ctx, a, b := f.Log(t), Context(t), f.Subject(), f.Subject()
		last, err := log.Append(ctx, events.Batch{
			{Subject: a, Events: f.Facts(string(a), 3)}, {Subject: b, Events: f.Facts(string(b), 2)},
		})
		require.NoError(t, err)
		var sequences []uint64
		for _, e := range append(Gather(t, log, a, 0), Gather(t, log, b, 0)...) {
			sequences = append(sequences, e.Sequence)
		}
		require.Equal(t, []uint64{last - 4, last - 3, last - 2, last - 1, last}, sequences)
		end, err := log.Last(ctx)
		require.NoError(t, err)
		require.Equal(t, last, end)
	},
	"expectations are held": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		first, err := log.Append(ctx, f.One(subject, 0, Name("e")))
		require.NoError(t, err)
		for _, expect := range []uint64{0, first - 1, first + 1, first + 1000} {
			if expect == first {
				continue
			}
			_, err = log.Append(ctx, f.One(subject, expect, Name("e")))
			require.ErrorIs(t, err, events.ErrConflict, "expected %d, at %d", expect, first)
		}
		_, err = log.Append(ctx, f.One(subject, first, Name("e")))
		require.NoError(t, err)
	},
	"one wrong expectation and nothing is stored": func(t *testing.T, f Fixture) {
		log, ctx, a, b, c := f.Log(t), Context(t), f.Subject(), f.Subject(), f.Subject()
		_, err := log.Append(ctx, f.One(b, 0, Name("e")))
		require.NoError(t, err)
		before, err := log.Last(ctx)
		require.NoError(t, err)
		_, err = log.Append(ctx, events.Batch{
			{Subject: a, Events: f.Facts(string(a), 2)}, {Subject: b, Events: f.Facts(string(b), 2)}, {Subject: c, Events: f.Facts(string(c), 2)},
		})
		require.ErrorIs(t, err, events.ErrConflict)
		after, err := log.Last(ctx)
		require.NoError(t, err)
		require.Equal(t, before, after)
		for _, subject := range []events.Subject{a, c} {
			_, err = log.LastOf(ctx, subject)
			require.ErrorIs(t, err, events.ErrNotFound)
		}
	},
	"what is stored is done": func(t *testing.T, f Fixture) {
		log, ctx, a, b := f.Log(t), Context(t), f.Subject(), f.Subject()
		one := f.One(a, 0, Name("e"))
		first, err := log.Append(ctx, one)
		require.NoError(t, err)
		again, err := log.Append(ctx, one)
		require.NoError(t, err)
		require.Equal(t, first, again)

		batch := events.Batch{{Subject: a, Expect: first, Events: f.Facts(string(a), 3)}, {Subject: b, Events: f.Facts(string(b), 2)}}
		last, err := log.Append(ctx, batch)
		require.NoError(t, err)
		again, err = log.Append(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, last, again)

		// Others have written after it.
		_, err = log.Append(ctx, f.One(b, last, Name("e")))
		require.NoError(t, err)
		again, err = log.Append(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, last, again)
		again, err = log.Append(ctx, one)
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Len(t, Gather(t, log, a, 0), 4)
		require.Len(t, Gather(t, log, b, 0), 3)
	},
	"what is stored in part is a conflict": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		facts := f.Facts(string(subject), 3)
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: facts[:2]}})
		require.NoError(t, err)
		for _, expect := range []uint64{0, last} {
			_, err = log.Append(ctx, events.Batch{{Subject: subject, Expect: expect, Events: facts[1:]}})
			require.ErrorIs(t, err, events.ErrConflict)
			_, err = log.Append(ctx, events.Batch{{Subject: subject, Expect: expect, Events: facts}})
			require.ErrorIs(t, err, events.ErrConflict)
		}
		require.Len(t, Gather(t, log, subject, 0), 2)
	},
	"an id stored elsewhere is no obstacle": func(t *testing.T, f Fixture) {
		log, ctx, a, b, c := f.Log(t), Context(t), f.Subject(), f.Subject(), f.Subject()
		id := Name("e")
		_, err := log.Append(ctx, f.One(a, 0, id))
		require.NoError(t, err)
		last, err := log.Append(ctx, f.One(b, 0, id))
		require.NoError(t, err)
		_, err = log.Append(ctx, f.One(b, 0, Name("e")))
		require.ErrorIs(t, err, events.ErrConflict, "its expectation counts as ever")
		batch := events.Batch{{Subject: b, Expect: last, Events: f.Facts(string(b), 2)}, f.One(c, 0, id)[0]}
		end, err := log.Append(ctx, batch)
		require.NoError(t, err)
		again, err := log.Append(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, end, again)
		require.Len(t, Gather(t, log, b, 0), 3)
		require.Equal(t, []string{f.Fact(id).ID}, IDs(Gather(t, log, c, 0)))
	},
	"an event too large for the log harms nobody": func(t *testing.T, f Fixture) {
		if f.Node != "" {
			t.Skip("what a node may say is smaller")
		}
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		large := f.Fact(Name("e"))
		large.Data = node.NotReadyV1{Message: strings.Repeat("m", events.MaxEvent)}
		for _, more := range [][]events.Event{nil, f.Facts(string(subject), 2)} {
			_, err := log.Append(ctx, events.Batch{{Subject: subject, Events: append(more, large)}})
			require.ErrorIs(t, err, events.ErrTooLarge)
			require.ErrorContains(t, err, strconv.Itoa(events.MaxEvent), "the limit is named")
		}
		_, err := log.LastOf(ctx, subject)
		require.ErrorIs(t, err, events.ErrNotFound)
		large.Data = node.NotReadyV1{Message: strings.Repeat("m", events.MaxEvent-4096)}
		_, err = log.Append(ctx, events.Batch{{Subject: subject, Events: append(f.Facts(string(subject), 2), large)}})
		require.NoError(t, err)
	},
	"a batch of too many bytes harms nobody": func(t *testing.T, f Fixture) {
		if f.Node != "" {
			t.Skip("what a node may say is smaller")
		}
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		facts := f.Facts(string(subject), events.MaxBatchBytes/events.MaxEvent*2)
		for i := range facts {
			facts[i].Data = node.NotReadyV1{Message: strings.Repeat("m", events.MaxEvent*2/3)}
		}
		_, err := log.Append(ctx, events.Batch{{Subject: subject, Events: facts}})
		require.ErrorIs(t, err, events.ErrTooLarge)
		require.ErrorContains(t, err, strconv.Itoa(events.MaxBatchBytes), "the limit is named")
		_, err = log.Append(ctx, events.Batch{{Subject: subject, Events: facts[:events.MaxBatchBytes/events.MaxEvent]}})
		require.NoError(t, err)
		require.Len(t, Gather(t, log, subject, 0), events.MaxBatchBytes/events.MaxEvent)
	},
	"the greatest batch fits, one more does not": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		_, err := log.Append(ctx, events.Batch{{Subject: subject, Events: f.Facts(string(subject), events.MaxBatch+1)}})
		require.ErrorIs(t, err, events.ErrTooLarge)
		_, err = log.LastOf(ctx, subject)
		require.ErrorIs(t, err, events.ErrNotFound)
		_, err = log.Append(ctx, events.Batch{{Subject: subject, Events: f.Facts(string(subject), events.MaxBatch)}})
		require.NoError(t, err)
		require.Len(t, Gather(t, log, subject, 0), events.MaxBatch)
	},
	"what no log takes": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), f.Subject()
		changed := func(change func(*events.Event)) events.Batch {
			e := f.Fact(Name("e"))
			change(&e)
			return events.Batch{{Subject: subject, Events: []events.Event{e}}}
		}
		twice := f.Fact(Name("e"))
		for name, batch := range map[string]events.Batch{
			"nothing":                     {},
			"no events":                   {{Subject: subject}},
			"a wildcard":                  f.One("evt.node.*", 0, Name("e")),
			"all below":                   f.One("evt.node.>", 0, Name("e")),
			"an empty word":               f.One("evt.node.", 0, Name("e")),
			"a blank":                     f.One("evt.node.a b", 0, Name("e")),
			"another stream":              f.One("cmd.node.a", 0, Name("e")),
			"a subject twice":             append(f.One(subject, 0, Name("e")), f.One(subject, 0, Name("e"))...),
			"an id twice":                 {{Subject: subject, Events: []events.Event{twice, twice}}},
			"no id":                       changed(func(e *events.Event) { e.ID = "" }),
			"no source":                   changed(func(e *events.Event) { e.Source = "" }),
			"no data":                     changed(func(e *events.Event) { e.Data = nil }),
			"a type of another aggregate": changed(func(e *events.Event) { a := Assigned("e", "n1"); e.Data, e.Type = a.Data, a.Type }),
			"a type of nobody": changed(func(e *events.Event) {
				e.Data = events.Unknown{Type: "org.example.happened", Raw: []byte("{}")}
				e.Type = e.Data.WireType()
			}),
			"another type": changed(func(e *events.Event) { e.Type = "run.rutter.node.ready.v1" }),
		} {
			_, err := log.Append(ctx, batch)
			require.ErrorIs(t, err, events.ErrInvalid, name)
		}
		_, err := log.LastOf(ctx, subject)
		require.ErrorIs(t, err, events.ErrNotFound)
	},
	"ids and subjects of any length that is allowed": func(t *testing.T, f Fixture) {
		log, ctx := f.Log(t), Context(t)
		subject := f.SubjectOf(Name(strings.Repeat("n", 63)))
		id := Name(strings.Repeat("i", 200))
		_, err := log.Append(ctx, f.One(subject, 0, id))
		require.NoError(t, err)
		require.Equal(t, []string{f.Fact(id).ID}, IDs(Gather(t, log, subject, 0)))
	},
}
