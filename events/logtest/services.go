package logtest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

// consume takes commands of node-health until enough have come.
func consume(t *testing.T, commands events.Commands, enough func(events.Delivery) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(Context(t))
	defer cancel()
	err := commands.Consume(ctx, events.ServiceNodeHealth, func(d events.Delivery) {
		if ctx.Err() == nil && enough(d) {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
}

var commandCases = map[string]func(*testing.T, Fixture){
	"in the order sent, each once": func(t *testing.T, f Fixture) {
		sender, ctx := f.Commands(t), Context(t)
		var want []events.Command
		for range 5 {
			c := Register(Name("c"), Name("n"))
			require.NoError(t, sender.Send(ctx, c))
			require.NoError(t, sender.Send(ctx, c), "sending it again is harmless")
			want = append(want, c)
		}
		var got []events.Command
		consume(t, f.Commands(t), func(d events.Delivery) bool {
			got = append(got, d.Command())
			require.Equal(t, 1, d.Attempt())
			require.NoError(t, d.Ack())
			return len(got) == len(want)
		})
		require.Equal(t, want, got)
	},
	"a command too large is refused by name of the limit, the rest go on": func(t *testing.T, f Fixture) {
		sender, ctx := f.Commands(t), Context(t)
		large, small := Register(Name("c"), Name("n")), Register(Name("c"), Name("n"))
		large.Data = node.RegisterV1{Incarnation: strings.Repeat("i", events.MaxCommand)}
		err := sender.Send(ctx, large)
		require.ErrorIs(t, err, events.ErrTooLarge)
		require.ErrorContains(t, err, strconv.Itoa(events.MaxCommand))
		long := Register(strings.Repeat("c", events.MaxCommandID+1), Name("n"))
		require.ErrorIs(t, sender.Send(ctx, long), events.ErrInvalid)
		long = Register(Name("c"), Name("n"))
		long.Reason = strings.Repeat("r", 1<<16)
		require.ErrorIs(t, sender.Send(ctx, long), events.ErrInvalid)
		require.NoError(t, sender.Send(ctx, small))
		consume(t, f.Commands(t), func(d events.Delivery) bool {
			require.Equal(t, small.ID, d.Command().ID)
			require.NoError(t, d.Ack())
			return true
		})
	},
	"what is put off comes again": func(t *testing.T, f Fixture) {
		commands := f.Commands(t)
		c := Register(Name("c"), Name("n"))
		require.NoError(t, commands.Send(Context(t), c))
		var attempts []int
		consume(t, commands, func(d events.Delivery) bool {
			require.Equal(t, c.ID, d.Command().ID)
			attempts = append(attempts, d.Attempt())
			if len(attempts) < 3 {
				require.NoError(t, d.Nak(time.Millisecond))
				return false
			}
			require.NoError(t, d.Ack())
			return true
		})
		require.Equal(t, []int{1, 2, 3}, attempts)
	},
	"what waits is there for the next consumer": func(t *testing.T, f Fixture) {
		sender := f.Commands(t)
		var want []string
		for range 20 {
			c := Register(Name("c"), Name("n"))
			require.NoError(t, sender.Send(Context(t), c))
			want = append(want, c.ID)
		}
		var got []string
		for range want {
			// Each consumer takes one and goes; what it had fetched ahead must not wait for it.
			consume(t, f.Commands(t), func(d events.Delivery) bool {
				got = append(got, d.Command().ID)
				require.NoError(t, d.Ack())
				return true
			})
		}
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(t, want, got)
	},
	"consumers of one service share": func(t *testing.T, f Fixture) {
		sender := f.Commands(t)
		const n = 50
		var mu sync.Mutex
		seen := map[string]int{}
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		var group sync.WaitGroup
		for range 2 {
			commands := f.Commands(t)
			group.Go(func() {
				_ = commands.Consume(ctx, events.ServiceNodeHealth, func(d events.Delivery) {
					mu.Lock()
					defer mu.Unlock()
					seen[d.Command().ID]++
					_ = d.Ack()
					if len(seen) == n {
						cancel()
					}
				})
			})
		}
		for range n {
			require.NoError(t, sender.Send(Context(t), Register(Name("c"), Name("n"))))
		}
		group.Wait()
		require.Len(t, seen, n)
		for id, times := range seen {
			require.Equal(t, 1, times, id)
		}
	},
	"what cannot be sent": func(t *testing.T, f Fixture) {
		commands, ctx := f.Commands(t), Context(t)
		for name, change := range map[string]func(*events.Command){
			"no id":         func(c *events.Command) { c.ID = "" },
			"no data":       func(c *events.Command) { c.Data = nil },
			"another type":  func(c *events.Command) { c.Type = "run.rutter.node.leave.v1" },
			"not a command": func(c *events.Command) { c.Subject = "evt.node.n" },
			"many at once":  func(c *events.Command) { c.Subject = "cmd.node.*" },
		} {
			c := Register(Name("c"), Name("n"))
			change(&c)
			require.ErrorIs(t, commands.Send(ctx, c), events.ErrInvalid, name)
		}
		require.ErrorIs(t, commands.Consume(ctx, "cook", nil), events.ErrInvalid)
	},
}

var leaseCases = map[string]func(*testing.T, Fixture){
	"one leads, and gives it up at the end": func(t *testing.T, f Fixture) {
		ctx, name := Context(t), Name("lease")
		first, second := f.Leases(t), f.Leases(t)
		holder, err := second.Holder(ctx, name)
		require.NoError(t, err)
		require.Empty(t, holder)

		var mu sync.Mutex
		leading := 0
		lead := func(started chan<- struct{}) func(context.Context) error {
			return func(ctx context.Context) error {
				mu.Lock()
				leading++
				require.Equal(t, 1, leading)
				mu.Unlock()
				started <- struct{}{}
				<-ctx.Done()
				mu.Lock()
				leading--
				mu.Unlock()
				return nil
			}
		}
		firstCtx, stopFirst := context.WithCancel(ctx)
		secondCtx, stopSecond := context.WithCancel(ctx)
		firstLeads, secondLeads := make(chan struct{}, 1), make(chan struct{}, 1)
		ended := make(chan error, 2)
		go func() { ended <- first.Hold(firstCtx, name, "first", lead(firstLeads)) }()
		Receive(t, ctx, "the first leader", firstLeads)
		go func() { ended <- second.Hold(secondCtx, name, "second", lead(secondLeads)) }()
		// A replica that is a moment behind may answer.
		Eventually(t, "the first to be known", func() bool { holder, err = second.Holder(ctx, name); return err == nil && holder == "first" })

		stopFirst()
		require.ErrorIs(t, Receive(t, ctx, "the first to end", ended), context.Canceled)
		Receive(t, ctx, "the second leader", secondLeads)
		Eventually(t, "the second to be known", func() bool { holder, err = first.Holder(ctx, name); return err == nil && holder == "second" })
		stopSecond()
		require.ErrorIs(t, Receive(t, ctx, "the second to end", ended), context.Canceled)
		Eventually(t, "nobody to hold it", func() bool { holder, err = first.Holder(ctx, name); return err == nil && holder == "" })
	},
	"a leader that ends leads again": func(t *testing.T, f Fixture) {
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		times := 0
		err := f.Leases(t).Hold(ctx, Name("lease"), "me", func(context.Context) error {
			if times++; times == 2 {
				cancel()
			}
			return errStop
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 2, times)
	},
	"a holder that starts again takes its own lease over at once": func(t *testing.T, f Fixture) {
		ctx, name := Context(t), Name("lease")
		dead, deadCancel := context.WithCancel(ctx)
		defer deadCancel()
		leads, over := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			over <- f.Leases(t).Hold(dead, name, "me", func(ctx context.Context) error {
				leads <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		Receive(t, ctx, "the first process", leads)
		// The first is not stopped: as far as anybody can see it was killed. The second does not wait until its lease has run out.
		again, cancel := context.WithCancel(ctx)
		defer cancel()
		err := f.Leases(t).Hold(again, name, "me", func(context.Context) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
		deadCancel()
		require.ErrorIs(t, Receive(t, ctx, "the first to end", over), context.Canceled)
	},
	"names do not meet": func(t *testing.T, f Fixture) {
		leases := f.Leases(t)
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		err := leases.Hold(ctx, Name("lease"), "me", func(ctx context.Context) error {
			return leases.Hold(ctx, Name("lease"), "me", func(context.Context) error { cancel(); return nil })
		})
		require.ErrorIs(t, err, context.Canceled)
	},
}

var heartbeatCases = map[string]func(*testing.T, Fixture){
	"the last of each node first, then each new one": func(t *testing.T, f Fixture) {
		sender, ctx := f.Heartbeats(t), Context(t)
		a, b := Name("n"), Name("n")
		beat := func(node, incarnation string) events.Heartbeat {
			return events.Heartbeat{Node: node, Incarnation: incarnation, Ready: true, Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Usage: map[string]int64{"cpu": 7}, Ledger: 9}
		}
		for _, h := range []events.Heartbeat{beat(a, "1"), beat(b, "1"), beat(a, "2")} {
			require.NoError(t, sender.Beat(ctx, h))
		}
		type heard struct {
			beat     events.Heartbeat
			replayed bool
		}
		listening, cancel := context.WithCancel(ctx)
		defer cancel()
		all := make(chan heard, 1024)
		// What was sent is kept a moment later; a listener that came too early is followed by another.
		Eventually(t, "the last pulses to be kept", func() bool {
			const patience = 300 * time.Millisecond
			known := map[string]string{}
			once, stop := context.WithTimeout(listening, patience)
			defer stop()
			_ = f.Heartbeats(t).Listen(once, func(h events.Heartbeat, replayed bool) {
				known[h.Node] = h.Incarnation
				if known[a] == "2" && known[b] == "1" {
					stop()
				}
			})
			return known[a] == "2" && known[b] == "1"
		})
		go func() {
			_ = f.Heartbeats(t).Listen(listening, func(h events.Heartbeat, replayed bool) { all <- heard{h, replayed} })
		}()
		known := map[string]events.Heartbeat{}
		for known[a].Incarnation != "2" || known[b].Incarnation != "1" {
			h := Receive(t, ctx, "the last pulses", all)
			require.True(t, h.replayed)
			known[h.beat.Node] = h.beat
		}
		require.Equal(t, beat(a, "2"), known[a])
		require.Equal(t, beat(b, "1"), known[b])
		for _, want := range []events.Heartbeat{beat(b, "3"), beat(a, "4")} {
			require.NoError(t, sender.Beat(ctx, want))
			got := Receive(t, ctx, "a new pulse", all)
			for got.replayed {
				got = Receive(t, ctx, "a new pulse", all)
			}
			require.Equal(t, want, got.beat)
		}
	},
}
