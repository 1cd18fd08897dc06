package jetstream_test

import (
	"strconv"
	"testing"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/logtest"
)

// Why the log is not trimmed: docs/adr/0005-retention.md. These tests fail where a new server makes another answer possible.
func TestRetentionFacts(t *testing.T) {
	s := startServers(t, 1)
	api, err := js.New(s.conn(t))
	require.NoError(t, err)
	// fill makes a stream as EVENTS is, with so many messages on one busy subject after one on a quiet one.
	fill := func(t *testing.T, name string, change func(*js.StreamConfig)) js.StreamConfig {
		config := js.StreamConfig{
			Name: name, Subjects: []string{name + ".>"}, Storage: js.FileStorage, Discard: js.DiscardNew, MaxMsgs: -1, MaxBytes: -1,
			DenyDelete: true, DenyPurge: true, AllowDirect: true, AllowAtomicPublish: true,
		}
		if change != nil {
			change(&config)
		}
		_, err := api.CreateStream(logtest.Context(t), config)
		require.NoError(t, err)
		require.Zero(t, code(t, publish(t, s.conn(t), name+".quiet")))
		for range 20 {
			require.Zero(t, code(t, publish(t, s.conn(t), name+".busy")))
		}
		return config
	}
	state := func(t *testing.T, name string) js.StreamState {
		stream, err := api.Stream(logtest.Context(t), name)
		require.NoError(t, err)
		return stream.CachedInfo().State
	}

	t.Run("the lock against purging cannot be taken off", func(t *testing.T) {
		config := fill(t, "LOCKED", nil)
		config.DenyPurge = false
		_, err := api.UpdateStream(logtest.Context(t), config)
		require.Error(t, err)
		stream, err := api.Stream(logtest.Context(t), "LOCKED")
		require.NoError(t, err)
		require.Error(t, stream.Purge(logtest.Context(t), js.WithPurgeSequence(5)))
		require.EqualValues(t, 1, state(t, "LOCKED").FirstSeq)
	})
	t.Run("a lower limit takes away nothing where the newest are refused, and what was never sealed where the oldest go", func(t *testing.T) {
		config := fill(t, "LIMITED", nil)
		config.MaxMsgs = 10
		_, err := api.UpdateStream(logtest.Context(t), config)
		require.NoError(t, err)
		require.EqualValues(t, 1, state(t, "LIMITED").FirstSeq)
		config.Discard = js.DiscardOld
		_, err = api.UpdateStream(logtest.Context(t), config)
		require.NoError(t, err)
		require.EqualValues(t, 12, state(t, "LIMITED").FirstSeq)
		// Whoever lowered it has sealed 1 to 11 and dies here, before it has put the limit back: the log goes on losing.
		for range 5 {
			require.Zero(t, code(t, publish(t, s.conn(t), "LIMITED.busy")))
		}
		require.EqualValues(t, 17, state(t, "LIMITED").FirstSeq)
	})
	t.Run("a subject whose last message was purged is as if there had never been one", func(t *testing.T) {
		fill(t, "PURGED", func(c *js.StreamConfig) { c.DenyPurge = false })
		stream, err := api.Stream(logtest.Context(t), "PURGED")
		require.NoError(t, err)
		require.NoError(t, stream.Purge(logtest.Context(t), js.WithPurgeSequence(6)))
		require.EqualValues(t, 6, state(t, "PURGED").FirstSeq, "exactly what was asked for")
		expecting := func(sequence uint64) int {
			return code(t, publish(t, s.conn(t), "PURGED.quiet", js.ExpectedLastSubjSeqHeader, strconv.FormatUint(sequence, 10)))
		}
		require.Equal(t, 10071, expecting(1), "whoever decided on the quiet subject's only event can never write again")
		_, err = stream.GetLastMsgForSubject(logtest.Context(t), "PURGED.quiet")
		require.ErrorIs(t, err, js.ErrMsgNotFound, "and whoever folds it alone, as an agent does its ledger, sees nothing")
		require.Zero(t, expecting(0), "who thinks that it is new may write it")
	})
}
