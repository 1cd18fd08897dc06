package jetstream_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive/archivetest"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
)

func TestAnImportedLogIsTheOneThatWasExported(t *testing.T) {
	onBoth(t, func(t *testing.T, s *servers) {
		ctx := logtest.Context(t)
		const n = 2300
		records := slices.Collect(archivetest.Records(n))
		// A message that is no event is kept as well.
		records[6] = events.Record{Subject: records[6].Subject, Header: map[string][]string{"X": {"y"}}, Data: []byte{0}, Sequence: 7, Recorded: records[6].Recorded}

		broken, err := s.client(t).Log().NewImport(ctx, n, "export 1")
		require.NoError(t, err)
		for _, r := range records[:1500] {
			require.NoError(t, broken.Add(ctx, r))
		}
		require.ErrorIs(t, broken.Add(ctx, records[1600]), events.ErrInvalid)
		require.ErrorIs(t, broken.Close(ctx), events.ErrInvalid, "it is not whole")
		_, err = s.client(t).Log().NewImport(ctx, n, "export 2")
		require.ErrorIs(t, err, events.ErrExists)

		again, err := s.client(t).Log().NewImport(ctx, n, "export 1")
		require.NoError(t, err)
		for _, r := range records {
			require.NoError(t, again.Add(ctx, r))
		}
		require.NoError(t, again.Close(ctx))
		_, err = s.client(t).Log().NewImport(ctx, n, "export 1")
		require.ErrorIs(t, err, events.ErrExists, "it is done")
		require.NoError(t, jetstream.Setup(ctx, s.conn(t), jetstream.StreamOptions{Replicas: len(s.urls)}))

		log := s.client(t).Log()
		next := 0
		stop := errors.New("stop")
		err = log.Records(ctx, 1, func(r events.Record, _ uint64) error {
			require.Equal(t, string(cloudevent.AppendLine(nil, records[next])), string(cloudevent.AppendLine(nil, r)))
			if next++; next == n {
				return stop
			}
			return nil
		})
		require.ErrorIs(t, err, stop)
		x, err := log.Extent(ctx)
		require.NoError(t, err)
		require.Equal(t, []any{uint64(1), uint64(n), records[0].Recorded, records[n-1].Recorded}, []any{x.First, x.Last, x.Began, x.Ended})
		e, err := log.Get(ctx, 5)
		require.NoError(t, err)
		require.Equal(t, records[4].Recorded, e.Recorded)

		// What comes after is the living log's, whatever it says of itself.
		subject := logtest.Subject()
		header, data, err := cloudevent.EncodeEvent(func() events.Event { e := logtest.Fact("liar"); e.Subject = subject; return e }())
		require.NoError(t, err)
		cloudevent.SetOriginal(header, archivetest.Begin)
		_, err = s.conn(t).RequestMsgWithContext(ctx, &nats.Msg{Subject: string(subject), Header: header, Data: data})
		require.NoError(t, err)
		liar, err := log.LastOf(ctx, subject)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), liar.Recorded, time.Hour)
	})
}
