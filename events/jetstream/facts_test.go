package jetstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
)

// The design rests on what nats-server does. These tests fail where a new version does something else.
func TestFacts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *servers) {
		for name, fact := range facts {
			t.Run(name, func(t *testing.T) { fact(t, s) })
		}
	})
}

// code is the error code of a raw answer, 0 where it is an acknowledgement.
func code(t *testing.T, msg *nats.Msg) int {
	t.Helper()
	var answer struct {
		Error struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	require.NoError(t, json.Unmarshal(msg.Data, &answer), string(msg.Data))
	return answer.Error.Code
}

// publish sends a raw message with headers given in pairs.
func publish(t *testing.T, nc *nats.Conn, subject string, pairs ...string) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte("{}")
	for i := 0; i < len(pairs); i += 2 {
		msg.Header.Set(pairs[i], pairs[i+1])
	}
	answer, err := nc.RequestMsgWithContext(logtest.Context(t), msg)
	require.NoError(t, err)
	return answer
}

// batchOf are the headers of a batch's message.
func batchOf(id string, sequence int, more ...string) []string {
	return append([]string{jetstreamext.BatchIDHeader, id, jetstreamext.BatchSeqHeader, strconv.Itoa(sequence)}, more...)
}

const expect = js.ExpectedLastSubjSeqHeader

var facts = map[string]func(*testing.T, *servers){
	"the truth cannot be deleted, purged or opened up": func(t *testing.T, s *servers) {
		ctx := logtest.Context(t)
		last, err := s.client(t).Log().Append(ctx, logtest.One(logtest.Subject(), 0, logtest.Name("e")))
		require.NoError(t, err)
		api, stream := s.stream(t)
		require.Error(t, stream.Purge(ctx))
		require.Error(t, stream.DeleteMsg(ctx, last))
		info, err := stream.Info(ctx)
		require.NoError(t, err)
		for _, change := range []func(*js.StreamConfig){
			func(c *js.StreamConfig) { c.DenyPurge = false },
			func(c *js.StreamConfig) { c.DenyDelete = false },
			func(c *js.StreamConfig) { c.AllowRollup = true },
		} {
			changed := info.Config
			change(&changed)
			_, err = api.UpdateStream(ctx, changed)
			require.Error(t, err)
		}
		require.NoError(t, jetstream.Setup(ctx, s.conn(t), jetstream.StreamOptions{Replicas: len(s.configs)}))
		info, err = stream.Info(ctx)
		require.NoError(t, err)
		require.True(t, info.Config.DenyPurge)
		require.True(t, info.Config.DenyDelete)
		require.Equal(t, js.DiscardNew, info.Config.Discard)
		require.Equal(t, len(s.configs), info.Config.Replicas)
	},
	"a second expectation on one subject in a batch is refused": func(t *testing.T, s *servers) {
		nc, subject, id := s.conn(t), string(logtest.Subject()), logtest.Name("b")
		publish(t, nc, subject, batchOf(id, 1, expect, "0")...)
		require.Equal(t, 10164, code(t, publish(t, nc, subject, batchOf(id, 2, expect, "0", jetstreamext.BatchCommitHeader, "1")...)))
	},
	"a batch of 1001 is refused": func(t *testing.T, s *servers) {
		nc, subject, id := s.conn(t), string(logtest.Subject()), logtest.Name("b")
		for i := range events.MaxBatch {
			msg := nats.NewMsg(subject)
			for k, headers := 0, batchOf(id, i+1); k < len(headers); k += 2 {
				msg.Header.Set(headers[k], headers[k+1])
			}
			require.NoError(t, nc.PublishMsg(msg))
		}
		require.Equal(t, 10199, code(t, publish(t, nc, subject, batchOf(id, events.MaxBatch+1, jetstreamext.BatchCommitHeader, "1")...)))
	},
	"of 60 open batches 50 are taken": func(t *testing.T, s *servers) {
		nc, taken := s.conn(t), []string{}
		for i := range 60 {
			id, subject := logtest.Name("b"), string(logtest.Subject())
			answer := publish(t, nc, subject, batchOf(id, 1)...)
			if len(answer.Data) == 0 {
				taken = append(taken, id)
				continue
			}
			require.Equal(t, 10210, code(t, answer), "batch %d", i)
		}
		require.Len(t, taken, 50)
		// A writer hears that it is to try again later.
		_, err := s.client(t).Log().Append(logtest.Context(t), events.Batch{{Subject: logtest.Subject(), Events: logtest.Facts(logtest.Name("e"), 2)}})
		require.ErrorIs(t, err, events.ErrBusy)
		for _, id := range taken {
			publish(t, nc, string(logtest.Subject()), batchOf(id, 2, jetstreamext.BatchCommitHeader, "1")...)
		}
	},
	"a retry with its old expectation": func(t *testing.T, s *servers) {
		nc, subject, id := s.conn(t), string(logtest.Subject()), logtest.Name("e")
		require.Zero(t, code(t, publish(t, nc, subject, expect, "0", js.MsgIDHeader, id)))
		want := 10071 // one server looks at the expectation first
		if len(s.configs) > 1 {
			want = 0 // three look at the id first and say that it is a duplicate
		}
		require.Equal(t, want, code(t, publish(t, nc, subject, expect, "0", js.MsgIDHeader, id)))
	},
	"a batch with ids that are stored": func(t *testing.T, s *servers) {
		nc, subject := s.conn(t), string(logtest.Subject())
		a, b := logtest.Name("e"), logtest.Name("e")
		for _, want := range []int{0, 10201} {
			id := logtest.Name("b")
			publish(t, nc, subject, batchOf(id, 1, js.MsgIDHeader, a)...)
			require.Equal(t, want, code(t, publish(t, nc, subject, batchOf(id, 2, js.MsgIDHeader, b, jetstreamext.BatchCommitHeader, "1")...)))
		}
	},
	"a copy says where in the log it stands": func(t *testing.T, s *servers) {
		ctx, nc, subject := logtest.Context(t), s.conn(t), logtest.Subject()
		live, err := nc.SubscribeSync("live." + string(subject))
		require.NoError(t, err)
		require.NoError(t, nc.FlushWithContext(ctx))
		first, err := s.client(t).Log().Append(ctx, logtest.One(subject, 0, logtest.Name("e")))
		require.NoError(t, err)
		second, err := s.client(t).Log().Append(ctx, logtest.One(subject, first, logtest.Name("e")))
		require.NoError(t, err)
		for _, want := range [][2]uint64{{first, 0}, {second, first}} {
			msg, err := live.NextMsgWithContext(ctx)
			require.NoError(t, err)
			require.Equal(t, jetstream.StreamEvents, msg.Header.Get("Nats-Stream"))
			require.Equal(t, string(subject), msg.Header.Get("Nats-Subject"))
			require.Equal(t, strconv.FormatUint(want[0], 10), msg.Header.Get("Nats-Sequence"))
			require.Equal(t, strconv.FormatUint(want[1], 10), msg.Header.Get("Nats-Last-Sequence"))
		}
	},
	"eight writers on one subject lose nothing": func(t *testing.T, s *servers) {
		const writers, each = 8, 25
		ctx, subject := logtest.Context(t), logtest.Subject()
		var group sync.WaitGroup
		for w := range writers {
			log := s.client(t).Log()
			group.Go(func() {
				for i := range each {
					id := fmt.Sprintf("%s-%d-%d", subject, w, i)
					for {
						at := uint64(0)
						head, err := log.LastOf(ctx, subject)
						if err == nil {
							at = head.Sequence
						} else if !errors.Is(err, events.ErrNotFound) {
							t.Errorf("last of: %v", err)
							return
						}
						batch := append(logtest.One(subject, at, id), logtest.One(logtest.Subject(), 0, logtest.Name("e"))...)
						if _, err := log.Append(ctx, batch); err == nil {
							break
						} else if !errors.Is(err, events.ErrConflict) && !errors.Is(err, events.ErrBusy) {
							t.Errorf("append: %v", err)
							return
						}
					}
				}
			})
		}
		group.Wait()
		seen := map[string]bool{}
		for _, e := range logtest.Gather(t, s.client(t).Log(), subject, 0) {
			require.False(t, seen[e.ID], "twice: %s", e.ID)
			seen[e.ID] = true
		}
		require.Len(t, seen, writers*each)
	},
	"an event above the servers' limit": func(t *testing.T, s *servers) {
		batch := logtest.One(logtest.Subject(), 0, logtest.Name("e"))
		batch[0].Events[0].Actor = strings.Repeat("a", 2<<20)
		_, err := s.client(t).Log().Append(logtest.Context(t), batch)
		require.ErrorIs(t, err, events.ErrTooLarge)
	},
	"every renewal of a lease has its time to live": func(t *testing.T, s *servers) {
		nc, name := s.conn(t), logtest.Name("lease")
		writes, err := nc.SubscribeSync("$KV.LEASES." + name)
		require.NoError(t, err)
		require.NoError(t, nc.FlushWithContext(logtest.Context(t)))
		ctx, cancel := context.WithCancel(logtest.Context(t))
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			ended <- s.client(t, jetstream.LeaseTTL(leaseTTL)).Leases().Hold(ctx, name, "me", func(ctx context.Context) error { <-ctx.Done(); return nil })
		}()
		// More renewals than the lease would have lived through without them.
		for range 5 {
			msg, err := writes.NextMsgWithContext(ctx)
			require.NoError(t, err)
			require.Equal(t, leaseTTL.String(), msg.Header.Get(js.MsgTTLHeader))
			require.NotEmpty(t, msg.Header.Get(expect))
			require.Empty(t, msg.Header.Get("KV-Operation"))
		}
		cancel()
		require.ErrorIs(t, logtest.Receive(t, logtest.Context(t), "the end", ended), context.Canceled)
	},
}

func TestFullLogRefusesAndLosesNothing(t *testing.T) {
	s := startServers(t, 1)
	ctx, nc := logtest.Context(t), s.conn(t)
	require.NoError(t, jetstream.Setup(ctx, nc, jetstream.StreamOptions{MaxEventBytes: 64 << 10}))
	log, subject := s.client(t).Log(), logtest.Subject()
	var at uint64
	var stored []string
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d", subject, i)
		last, err := log.Append(ctx, logtest.One(subject, at, id))
		if err != nil {
			require.ErrorIs(t, err, events.ErrFull)
			break
		}
		at, stored = last, append(stored, id)
	}
	_, err := log.Append(ctx, events.Batch{{Subject: subject, Expect: at, Events: logtest.Facts(logtest.Name("e"), 10)}})
	require.ErrorIs(t, err, events.ErrFull)
	require.Equal(t, stored, logtest.IDs(logtest.Gather(t, log, subject, 0)))
	// More room, and it goes on.
	require.NoError(t, jetstream.Setup(ctx, nc, jetstream.StreamOptions{MaxEventBytes: 128 << 10}))
	_, err = log.Append(ctx, logtest.One(subject, at, logtest.Name("e")))
	require.NoError(t, err)
}

func TestSetupByManyAtOnce(t *testing.T) {
	s := startServers(t, 3)
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		nc := s.conn(t)
		group.Go(func() { errs[i] = jetstream.Setup(logtest.Context(t), nc, jetstream.StreamOptions{Replicas: 3}) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
}
