package logtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

// selective is a log that is asked for some subjects alone; every implementation is one.
func selective(t *testing.T, f Fixture) events.SelectiveLog {
	t.Helper()
	log, ok := f.Log(t).(events.SelectiveLog)
	require.True(t, ok, "FollowSubjects")
	return log
}

var selectCases = map[string]func(*testing.T, Fixture){
	"the events of the subjects, to the end and on": func(t *testing.T, f Fixture) {
		log, ctx, namespace := selective(t, f), Context(t), Name("ns")
		web, shop, node := events.WorkloadSubject(namespace, "web"), events.WorkloadSubject(namespace, "shop"), Subject()
		var want []string
		heads := map[events.Subject]uint64{}
		say := func(subject events.Subject, asked bool) {
			e := About(subject, Name("e"))
			last, err := log.Append(ctx, events.Batch{{Subject: subject, Expect: heads[subject], Events: []events.Event{e}}})
			require.NoError(t, err)
			heads[subject] = last
			if asked {
				want = append(want, e.ID)
			}
		}
		for range 150 { // more than a chunk
			say(web, true)
			say(Subject(), false)
			say(node, true)
		}
		var got []string
		last := uint64(0)
		err := log.FollowSubjects(ctx, 1, []string{"evt.workload." + namespace + ".*", string(node)}, func(e events.Event, _ uint64) error {
			require.Greater(t, e.Sequence, last)
			last = e.Sequence
			got = append(got, e.ID)
			switch len(got) {
			case 300:
				say(shop, true)
				say(Subject(), false)
				say(shop, true)
			case 302:
				return errStop
			}
			return nil
		})
		require.Equal(t, errStop, err)
		require.Equal(t, want, got)
	},
	"from a sequence": func(t *testing.T, f Fixture) {
		log, ctx, subject := selective(t, f), Context(t), Subject()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: Facts(string(subject), 10)}})
		require.NoError(t, err)
		err = log.FollowSubjects(ctx, last-2, []string{string(subject), "evt.nobody.>"}, func(e events.Event, _ uint64) error {
			require.Equal(t, last-2, e.Sequence)
			return errStop
		})
		require.ErrorIs(t, err, errStop)
	},
	"until the context is done": func(t *testing.T, f Fixture) {
		log := selective(t, f)
		ctx, cancel := context.WithCancel(Context(t))
		cancel()
		require.ErrorIs(t, log.FollowSubjects(ctx, 1, []string{"evt.nobody.>"}, func(events.Event, uint64) error { return nil }), context.Canceled)
	},
}
