package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/projections"
)

func newReplayCommand(c *cli) *cobra.Command {
	var verify bool
	command := &cobra.Command{
		Use:   "replay --verify",
		Short: "Fold the whole log again in this process, and compare with the live gateway",
		Long: `Read every event from the first one, fold them in this process, and compare the hash of the state with that of the live
gateway at the same sequence. They are equal, or one of the two is wrong; then the exit code is 1.`,
		Args: args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !verify {
				return usagef("replay what for? want --verify")
			}
			return c.replay(cmd.Context())
		},
	}
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
	view := state.View()
	took := time.Since(begin)
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
