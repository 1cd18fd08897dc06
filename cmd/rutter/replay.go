package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/projections"
)

func newReplayCommand(c *cli) *cobra.Command {
	var verify bool
	var file, key string
	command := &cobra.Command{
		Use:   "replay --verify [--file FILE]",
		Short: "Fold the whole log again in this process, and compare with the live gateway",
		Long: `Read every event from the first one, fold them in this process, and compare the hash of the state with that of the live
gateway at the same sequence. They are equal, or one of the two is wrong; then the exit code is 1.

With --file the events are an export's, which is verified first, and the gateway is asked for its state at the export's last event. Without --verify
the hash of an export is only printed, which needs no gateway.`,
		Example: "  rutter replay --verify\n  rutter replay --verify --file backup.rutter\n  rutter replay --file backup.rutter",
		Args:    args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return c.replayFile(cmd.Context(), file, key, verify)
			}
			if !verify {
				return usagef("replay what for? want --verify")
			}
			return c.replay(cmd.Context())
		},
	}
	command.Flags().StringVar(&file, "file", "", "fold the events of this export, or of a directory of segments")
	keyFlag(command, &key)
	command.Flags().BoolVar(&verify, "verify", false, "compare with the live gateway")
	return command
}

var errReplayed = errors.New("replayed")

func (c *cli) replay(ctx context.Context) error {
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	live, err := gateway.State(ctx, 0)
	if err != nil {
		return err
	}
	if live.Version != projections.Version {
		return fmt.Errorf("the gateway folds by projection version %d and this program by %d: replay with the gateway's own version of rutter", live.Version, projections.Version)
	}
	begin := time.Now() // of the reading, which is no part of any state
	state, err := c.fold(ctx, gateway, live)
	if err != nil {
		return err
	}
	return c.compare(state.View(), live, time.Since(begin))
}

// replayFile folds an export.
func (c *cli) replayFile(ctx context.Context, path, key string, verify bool) error {
	verifier, err := c.auditKey(key)
	if err != nil {
		return err
	}
	begin := time.Now() // of the reading, which is no part of any state
	state, decoder, options := projections.NewState(), cloudevent.NewDecoder(catalog.New()), archive.Options{Key: verifier}
	options.Events = func(_ uint64, line []byte) error {
		r, err := cloudevent.ParseLine(line)
		if err != nil {
			return err
		}
		e := decoder.Event(string(r.Subject), r.Header, r.Data)
		e.Sequence, e.Recorded = r.Sequence, r.Recorded
		state.Apply(e)
		return nil
	}
	report, err := c.verifyExport(path, options)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if report.Header.First != 1 {
		return fmt.Errorf("%s begins with event %d: a state is folded from event 1", path, report.Header.First)
	}
	fmt.Fprintln(c.out, vouched(report, options))
	view, took := state.View(), time.Since(begin)
	if !verify {
		fmt.Fprintf(c.out, "replayed %d events in %s\nreplayed %s at sequence %d\n", view.Sequence(), took.Round(time.Millisecond), view.Hash(), view.Sequence())
		return nil
	}
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	live, err := gateway.At(strconv.FormatUint(view.Sequence(), 10)).State(ctx, 0)
	if err != nil {
		return err
	}
	return c.compare(view, live, took)
}

// compare holds a replayed state to the gateway's.
func (c *cli) compare(view *projections.Cluster, live api.State, took time.Duration) error {
	fmt.Fprintf(c.out, "replayed %d events in %s (%.0f a second)\n", view.Sequence(), took.Round(time.Millisecond), float64(view.Sequence())/max(took.Seconds(), 1e-6))
	fmt.Fprintf(c.out, "live     %s at sequence %d\n", live.Hash, live.Sequence)
	fmt.Fprintf(c.out, "replayed %s at sequence %d\n", view.Hash(), view.Sequence())
	if view.Hash() != live.Hash || view.Sequence() != live.Sequence {
		return fmt.Errorf("the hashes differ: the gateway's state is not what its log says")
	}
	fmt.Fprintln(c.out, "verified: the live state is what the log says")
	return nil
}

// leastStep is after how many events at least the progress is told: a short log needs none.
const leastStep = 2000

// fold reads the log up to the live state's sequence.
func (c *cli) fold(ctx context.Context, gateway *client.Client, live api.State) (*projections.State, error) {
	state := projections.NewState()
	if live.Sequence == 0 {
		return state, nil
	}
	show := c.newProgress()
	defer show.end()
	step := max(leastStep, live.Sequence/20)
	err := gateway.Stream(ctx, 1, client.Filter{}, func(e events.Event) error {
		state.Apply(e)
		if e.Sequence%step == 0 {
			show.tell(fmt.Sprintf("replaying: %d of %d events (%d %%)", e.Sequence, live.Sequence, 100*e.Sequence/live.Sequence))
		}
		if e.Sequence >= live.Sequence {
			return errReplayed
		}
		return nil
	})
	if !errors.Is(err, errReplayed) {
		return nil, err
	}
	return state, nil
}
