package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/past"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// logFigure is one line of `rutter bench log`: a figure beside its floor in the same run, because machines differ and wander.
type logFigure struct {
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Floor  float64 `json:"floor,omitempty"`
	What   string  `json:"floorIs,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"` // value by floor
	Aim    string  `json:"aim,omitempty"`
	Note   string  `json:"note,omitempty"`
}

// logBench measures replay on a log of its own.
type logBench struct {
	history  projectionstest.History
	events   uint64
	points   int
	schedule snapshot.Schedule
	dir      string
	figures  *json.Encoder
	progress io.Writer

	client *jetstream.Client
	source snapshot.Source
}

func newBenchLogCommand() *cobra.Command {
	b := &logBench{}
	var length int
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Measure replay, snapshots and time travel on a made-up log in a temporary directory",
		Long: `Make up the life of a cluster, load it into an embedded log server in a temporary directory, and measure what reading it costs: folding against
raw consumption, starting with and without a snapshot, a view after every event, reading the past at random points, memory. One JSON line a
figure, each beside its floor in the same process. It needs no cluster and leaves nothing behind.`,
		Args: args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if length < 1000 || b.history.Nodes < 2 || b.points < 1 {
				return usagef("want at least 1000 events, 2 nodes and 1 point")
			}
			b.events, b.figures, b.progress = uint64(length), json.NewEncoder(cmd.OutOrStdout()), cmd.ErrOrStderr()
			return b.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&length, "events", 1_000_000, "of the log")
	flags.IntVar(&b.history.Nodes, "nodes", 1000, "of the made-up cluster")
	flags.IntVar(&b.history.PerNode, "per-node", 10, "instances on each once it is full")
	flags.Uint64Var(&b.history.Seed, "seed", 1, "of the made-up history")
	flags.IntVar(&b.points, "points", 200, "random points of the past that are read")
	flags.StringVar(&b.dir, "dir", "", "where the log is kept while it is measured (default a temporary directory)")
	snapshotFlags(&b.schedule, flags)
	return cmd
}

func (b *logBench) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "rutter-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	server, err := natsserver.Start(natsserver.Config{Dir: dir, Name: "bench", Port: natsserver.RandomPort, Log: quiet})
	if err != nil {
		return err
	}
	defer server.Stop()
	nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: []string{server.URL()}, Name: "bench", Log: quiet})
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := jetstream.Setup(ctx, nc, jetstream.StreamOptions{}); err != nil {
		return err
	}
	b.client = b.open(nc, quiet)
	b.source = snapshot.Source{Log: b.client.Log(), Snapshots: b.client.Snapshots(), Logger: quiet}
	for _, measure := range []func(context.Context) error{b.load, b.fold, b.views, b.ladder, b.start, b.at} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *logBench) open(nc *nats.Conn, log *logrus.Logger) *jetstream.Client {
	return jetstream.Open(nc, catalog.New(), jetstream.Logger(log))
}

func (b *logBench) print(f logFigure) error {
	if f.Floor > 0 {
		f.Ratio = f.Value / f.Floor
	}
	return b.figures.Encode(f)
}

func (b *logBench) say(format string, what ...any) { fmt.Fprintf(b.progress, format+"\n", what...) }

func (b *logBench) load(ctx context.Context) error {
	step := max(b.events/10, 1000)
	took, err := timed(func() error {
		return b.client.Load(ctx, b.history.Events(int(b.events)), func(n uint64) {
			if n%step < events.MaxBatch {
				b.say("loaded %d of %d events", n, b.events)
			}
		})
	})
	if err != nil {
		return err
	}
	return b.print(logFigure{Figure: "events loaded", Value: b.rate(took), Unit: "events/s", Note: fmt.Sprintf("%d events of %d nodes, each batch of %d fsynced", b.events, b.history.Nodes, events.MaxBatch)})
}

func (b *logBench) rate(took time.Duration) float64 { return float64(b.events) / took.Seconds() }

// errAllRead ends a reading of the whole log.
var errAllRead = errors.New("all read")

func unlessAllRead(err error) error {
	if errors.Is(err, errAllRead) {
		return nil
	}
	return err
}

// raw reads every message and looks at none.
func (b *logBench) raw(ctx context.Context) error {
	return unlessAllRead(b.client.Log().Records(ctx, 1, func(r events.Record, _ uint64) error {
		if r.Sequence >= b.events {
			return errAllRead
		}
		return nil
	}))
}

// each reads every event.
func (b *logBench) each(ctx context.Context, handle func(events.Event)) error {
	return unlessAllRead(b.client.Log().Follow(ctx, 1, func(e events.Event, _ uint64) error {
		handle(e)
		if e.Sequence >= b.events {
			return errAllRead
		}
		return nil
	}))
}

const foldRounds = 3

// fold measures folding against consuming the same messages and throwing them away, by turns.
func (b *logBench) fold(ctx context.Context) error {
	var raw, decoded, folded []time.Duration
	var work [3]time.Duration // of the processor, in the last round
	var before, after runtime.MemStats
	var state *projections.State
	var allocations [2]uint64
	for round := range foldRounds {
		b.say("folds, round %d of %d", round+1, foldRounds)
		runtime.GC()
		runtime.ReadMemStats(&before)
		used := processorTime()
		took, err := timed(func() error { return b.raw(ctx) })
		if err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		raw, allocations[0] = append(raw, took), after.Mallocs-before.Mallocs
		work[0], used = processorTime()-used, processorTime()
		if took, err = timed(func() error { return b.each(ctx, func(events.Event) {}) }); err != nil {
			return err
		}
		decoded = append(decoded, took)
		work[1] = processorTime() - used
		state = nil
		runtime.GC()
		runtime.ReadMemStats(&before)
		state, used = projections.NewState(), processorTime()
		if took, err = timed(func() error { return b.each(ctx, state.Apply) }); err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		folded, allocations[1] = append(folded, took), after.Mallocs-before.Mallocs
		work[2] = processorTime() - used
	}
	live := uint64(0)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc {
		live = after.HeapAlloc - before.HeapAlloc
	}
	counts := state.View().Counts()
	floor, what := b.rate(middle(raw)), "the same messages consumed and thrown away in the same process, log server included"
	return errors.Join(
		b.print(logFigure{Figure: "events folded", Value: b.rate(middle(folded)), Unit: "events/s", Floor: floor, What: what, Aim: "ratio ≥ 0.6",
			Note: fmt.Sprintf("median of %d; the state has %d workloads, %d instances, %d nodes", foldRounds, counts.Workloads, counts.Instances, counts.Nodes)}),
		b.print(logFigure{Figure: "events decoded and not folded", Value: b.rate(middle(decoded)), Unit: "events/s", Floor: floor, What: what}),
		b.print(logFigure{Figure: "processor time an event, folded", Value: b.micros(work[2]), Unit: "µs", Floor: b.micros(work[0]), What: what,
			Note: fmt.Sprintf("of the client and the log server; decoded and not folded %.2f µs; other processes slow this down less than the rates", b.micros(work[1]))}),
		b.print(logFigure{Figure: "allocations an event, folded", Value: float64(allocations[1]) / float64(b.events), Unit: "allocations",
			Floor: float64(allocations[0]) / float64(b.events), What: "of the client and the log server for the same messages consumed raw"}),
		b.print(logFigure{Figure: "memory of the folded state", Value: float64(live) / (1 << 20), Unit: "MiB", Note: "heap in use after a collection, less that before the fold"}),
	)
}

func (b *logBench) micros(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(b.events)
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func middle(all []time.Duration) time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// views measures what a view after every event, and one after every commit of a hundred, adds to folding. The events are in memory.
func (b *logBench) views(ctx context.Context) error {
	const most = 200_000
	var all []events.Event
	if err := unlessAllRead(b.client.Log().Follow(ctx, 1, func(e events.Event, _ uint64) error {
		all = append(all, e)
		if len(all) == most || e.Sequence == b.events {
			return errAllRead
		}
		return nil
	})); err != nil {
		return err
	}
	fold := func(every int) float64 {
		state := projections.NewState()
		begin := time.Now()
		for n, e := range all {
			state.Apply(e)
			if every > 0 && n%every == 0 {
				seen = state.View()
			}
		}
		return float64(time.Since(begin).Nanoseconds()) / float64(len(all))
	}
	fold(0) // the first one warms up
	plain, each, commit := fold(0), fold(1), fold(100)
	what := "folding the same events from memory without a view"
	return errors.Join(
		b.print(logFigure{Figure: "fold with a view after each event", Value: each, Unit: "ns/event", Floor: plain, What: what}),
		b.print(logFigure{Figure: "fold with a view after each commit of 100 events", Value: commit, Unit: "ns/event", Floor: plain, What: what}),
	)
}

// seen keeps a view from being optimised away.
var seen *projections.Cluster

// ladder takes the snapshots that a reconciler would have taken by the end of the log.
func (b *logBench) ladder(ctx context.Context) error {
	b.say("takes snapshots")
	keeper := snapshot.NewKeeper(b.source, b.schedule, nil)
	state := projections.NewState()
	var takes []time.Duration
	var due uint64
	for due = b.schedule.Events; due <= b.events; due += b.schedule.Events {
		view, err := snapshot.FoldTo(ctx, b.client.Log(), state.View(), due)
		if err != nil {
			return err
		}
		state = projections.StateOf(view)
		took, err := timed(func() error { _, err := keeper.Take(ctx, view); return err })
		if err != nil {
			return err
		}
		takes = append(takes, took)
	}
	all := b.source.List(ctx)
	if len(all) == 0 {
		return fmt.Errorf("the log is shorter than the %d events after which a snapshot is taken: give --snapshot-events", b.schedule.Events)
	}
	size := 0
	for _, info := range all {
		size += info.Size
	}
	view := state.View()
	cold := timeOf(func() { _ = view.Hash() })
	var hasher projections.Hasher
	hasher.Hash(view)
	warm := timeOf(func() { hasher.Hash(view) })
	return errors.Join(
		b.print(logFigure{Figure: "snapshot taken", Value: ms(middle(takes)), Unit: "ms", Note: fmt.Sprintf("hash, CBOR, zstd and store, in the background; median of %d", len(takes))}),
		b.print(logFigure{Figure: "snapshot, newest", Value: float64(all[0].Size) / (1 << 20), Unit: "MiB", Note: fmt.Sprintf("%d kept, %.1f MiB in all", len(all), float64(size)/(1<<20))}),
		b.print(logFigure{Figure: "hash of the state again", Value: ms(warm), Unit: "ms", Floor: ms(cold), What: "the first one, which encodes every row"}),
	)
}

func timeOf(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// start measures how long a service needs until it has caught up.
func (b *logBench) start(ctx context.Context) error {
	b.say("starts with and without a snapshot")
	cold := func(options ...follow.Option) (time.Duration, error) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		f := follow.New(b.client.Log(), options...)
		ended := make(chan error, 1)
		begin := time.Now()
		go func() { ended <- f.Run(ctx) }()
		err := f.WaitLive(ctx)
		took := time.Since(begin)
		end()
		if stopped := <-ended; err == nil && !errors.Is(stopped, context.Canceled) {
			err = stopped
		}
		return took, err
	}
	without, err := cold()
	if err != nil {
		return err
	}
	with, err := cold(follow.From(b.source.Newest))
	if err != nil {
		return err
	}
	newest := b.source.List(ctx)[0].Sequence
	return b.print(logFigure{Figure: "start from a snapshot", Value: ms(with), Unit: "ms", Floor: ms(without), What: "start without a snapshot",
		Note: fmt.Sprintf("until the projection has caught up; %d events after the snapshot", b.events-newest)})
}

// at measures reading the past at random points, each with a reader that remembers nothing of the others.
func (b *logBench) at(ctx context.Context) error {
	random := rand.New(rand.NewPCG(b.history.Seed, 7))
	var all []time.Duration
	for n := range b.points {
		if n%50 == 0 {
			b.say("reads the past, %d of %d points", n, b.points)
		}
		sequence := 1 + random.Uint64N(b.events)
		reader := past.New(b.client.Log(), past.Snapshots(b.source))
		took, err := timed(func() error { _, err := reader.At(ctx, sequence); return err })
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return errors.Join(
		b.print(logFigure{Figure: "the past at a random point, p50", Value: ms(all[len(all)/2]), Unit: "ms", Note: fmt.Sprintf("%d points, worst %.0f ms", len(all), ms(all[len(all)-1]))}),
		b.print(logFigure{Figure: "the past at a random point, p95", Value: ms(all[min(len(all)-1, len(all)*95/100)]), Unit: "ms", Aim: "under 1000 ms on a million events"}),
	)
}
