package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

func connect(t testing.TB) (*nats.Conn, *jetstream.Client) {
	s, err := natsserver.Start(natsserver.Config{Dir: t.TempDir(), Port: natsserver.RandomPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{s.URL()}, Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := jetstream.Setup(logtest.Context(t), nc, jetstream.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return nc, jetstream.Open(nc, catalog.New())
}

func TestSmoke(t *testing.T) {
	nc, c := connect(t)
	ctx := logtest.Context(t)
	if err := jetstream.Setup(ctx, nc, jetstream.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	log := c.Log()
	s := events.NodeSubject("n1")
	seq, err := log.Append(ctx, logtest.One(s, 0, "a"))
	t.Log(seq, err)
	seq, err = log.Append(ctx, logtest.One(s, 0, "a"))
	t.Log(seq, err)
	_, err = log.Append(ctx, logtest.One(s, 0, "b"))
	t.Log(err, errors.Is(err, events.ErrConflict))
	b := events.Batch{{Subject: s, Expect: 1, Events: logtest.Facts("c", 3)}, {Subject: events.NodeSubject("n2"), Events: logtest.Facts("d", 3)}}
	seq, err = log.Append(ctx, b)
	t.Log(seq, err)
	seq, err = log.Append(ctx, b)
	t.Log(seq, err)
	e, err := log.LastOf(ctx, s)
	t.Logf("%+v %v", e, err)
	err = log.Read(ctx, s, 0, func(e events.Event) error { t.Log(e.Sequence, events.Line(e)); return nil })
	t.Log(err)
	stop := errors.New("stop")
	err = log.Follow(ctx, 0, func(e events.Event, p uint64) error {
		t.Log(e.Sequence, p)
		if p == 0 {
			return stop
		}
		return nil
	})
	t.Log(err)
	ctx2, cancel := context.WithCancel(ctx)
	err = c.Leases().Hold(ctx2, "x", "me", func(ctx context.Context) error {
		h, err := c.Leases().Holder(ctx, "x")
		t.Log("leading", h, err)
		cancel()
		<-ctx.Done()
		return nil
	})
	t.Log(err)
	h, err := c.Leases().Holder(ctx, "x")
	t.Log(h, err)
	_ = time.Now
}
