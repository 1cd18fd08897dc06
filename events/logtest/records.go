package logtest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

var recordCases = map[string]func(*testing.T, Fixture){
	"are the events as they are stored": func(t *testing.T, f Fixture) {
		log := f.Log(t)
		records := log.(events.Records)
		subject := Subject()
		const n = 300 // more than is decoded in one go
		last, err := log.Append(Context(t), events.Batch{{Subject: subject, Events: Facts(string(subject), n)}})
		require.NoError(t, err)
		all := Gather(t, log, subject, 0)
		next := last - n + 1
		done := errors.New("done")
		lines := 0
		err = records.Records(Context(t), next, func(r events.Record, pending uint64) error {
			require.Equal(t, next, r.Sequence)
			next++
			if r.Sequence < last {
				require.NotZero(t, pending, "there is more")
			}
			if r.Subject != subject {
				return nil // another test's
			}
			// Both ways of reading tell the same, and so does the line.
			e := all[lines]
			line, err := cloudevent.ParseLine(cloudevent.AppendLine(nil, r))
			require.NoError(t, err)
			require.Equal(t, []any{e.ID, e.Sequence, e.Recorded}, []any{line.Header["ce-id"][0], line.Sequence, line.Recorded})
			if lines++; lines == n {
				return done
			}
			return nil
		})
		require.ErrorIs(t, err, done)
	},
	"go on with what comes": func(t *testing.T, f Fixture) {
		log := f.Log(t)
		last, err := log.Append(Context(t), One(Subject(), 0, Name("first")))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		got := make(chan uint64, 16)
		go func() {
			_ = log.(events.Records).Records(ctx, last, func(r events.Record, _ uint64) error {
				got <- r.Sequence
				return nil
			})
		}()
		require.Equal(t, last, Receive(t, ctx, "what is there", got))
		more, err := log.Append(Context(t), One(Subject(), 0, Name("second")))
		require.NoError(t, err)
		require.Equal(t, more, Receive(t, ctx, "what comes", got))
	},
}

var vaultCases = map[string]func(*testing.T, Fixture){
	"a value is replaced by who knows its revision": func(t *testing.T, f Fixture) {
		vault, key := f.Vault(t), Name("key")+".part"
		_, _, err := vault.Get(Context(t), key)
		require.ErrorIs(t, err, events.ErrNotFound)
		_, err = vault.Put(Context(t), key, []byte("x"), 5)
		require.ErrorIs(t, err, events.ErrConflict)
		first, err := vault.Put(Context(t), key, []byte("one"), 0)
		require.NoError(t, err)
		_, err = vault.Put(Context(t), key, []byte("another one"), 0)
		require.ErrorIs(t, err, events.ErrConflict)
		second, err := vault.Put(Context(t), key, []byte("two\x00"), first)
		require.NoError(t, err)
		_, err = vault.Put(Context(t), key, []byte("late"), first)
		require.ErrorIs(t, err, events.ErrConflict)
		Eventually(t, "every replica has it", func() bool {
			value, revision, err := f.Vault(t).Get(Context(t), key)
			return err == nil && string(value) == "two\x00" && revision == second
		})
	},
}
