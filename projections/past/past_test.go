package past_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/past"
)

// history is a log with an event a minute.
func history(t *testing.T, n int) *memlog.Log {
	t.Helper()
	log := memlog.New(nil)
	subject := events.NodeSubject("n1")
	for at := range uint64(n) {
		time.Sleep(time.Minute) // of the test's own clock
		e := events.Event{ID: events.DeriveID("past", subject, int(at)), Source: "/test", Data: node.ReadyV1{}}
		_, err := log.Append(t.Context(), events.Batch{{Subject: subject, Expect: at, Events: []events.Event{e}}})
		require.NoError(t, err)
	}
	return log
}

func TestATimeIsTheLastEventRecordedByThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := history(t, 100)
		r := past.New(log)
		for want := uint64(1); want <= 100; want++ {
			e, err := log.Get(t.Context(), want)
			require.NoError(t, err)
			for _, after := range []time.Duration{0, 1, time.Minute - 1} {
				at := e.Recorded.Add(after)
				if at.After(time.Now()) {
					continue
				}
				got, err := r.SequenceAt(t.Context(), at)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
		time.Sleep(time.Hour)
		got, err := r.SequenceAt(t.Context(), time.Now())
		require.NoError(t, err)
		require.EqualValues(t, 100, got, "nothing has happened since")
	})
}

func TestOutsideTheLogIsAnErrorThatSaysWhereTheLogIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := history(t, 3)
		first, err := log.Get(t.Context(), 1)
		require.NoError(t, err)
		for _, c := range []struct {
			log    events.Log
			moment past.Moment
			want   error
		}{
			{log, past.Moment{}, past.ErrBeforeFirst},
			{log, past.Moment{Sequence: 4}, past.ErrPastEnd},
			{log, past.Moment{Time: first.Recorded.Add(-1)}, past.ErrBeforeFirst},
			{log, past.Moment{Time: time.Now().Add(1)}, past.ErrPastEnd},
			{memlog.New(nil), past.Moment{Sequence: 1}, past.ErrPastEnd},
			{memlog.New(nil), past.Moment{Time: time.Now()}, past.ErrBeforeFirst},
		} {
			_, err := past.New(c.log).View(t.Context(), c.moment)
			require.ErrorIs(t, err, c.want, "%s", c.moment)
			require.ErrorIs(t, err, events.ErrInvalid)
			var out *past.RangeError
			require.ErrorAs(t, err, &out)
			bounds, err := c.log.Extent(t.Context())
			require.NoError(t, err)
			require.Equal(t, bounds, out.Bounds)
		}
	})
}

func TestAPastStateIsWhatTheLiveOneWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := history(t, 30)
		live := projections.NewState()
		ended := errors.New("ended")
		err := log.Follow(t.Context(), 1, func(e events.Event, pending uint64) error {
			live.Apply(e)
			got, err := past.New(log).At(t.Context(), e.Sequence)
			require.NoError(t, err)
			require.Equal(t, live.View().Hash(), got.Hash())
			if pending == 0 {
				return ended
			}
			return nil
		})
		require.ErrorIs(t, err, ended)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = past.New(log).At(ctx, 30)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestMoments(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	for text, want := range map[string]past.Moment{
		"1234":                      {Sequence: 1234},
		" 1 ":                       {Sequence: 1},
		"2029-12-31T23:00:00Z":      {Time: time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC)},
		"2029-12-31T23:00:00+01:00": {Time: time.Date(2029, 12, 31, 22, 0, 0, 0, time.UTC)},
		"-15m":                      {Time: now.Add(-15 * time.Minute)},
		"-1h30m":                    {Time: now.Add(-90 * time.Minute)},
	} {
		got, err := past.ParseMoment(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := past.ParseMoment(got.String(), now)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, text := range []string{"", "0", "-0.5", "15m", "yesterday", "--15m", "-", "1.5", "2029-12-31", "18446744073709551616"} {
		_, err := past.ParseMoment(text, now)
		require.ErrorIs(t, err, events.ErrInvalid, text)
	}
}
