package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/projections"
)

// benchFigure is one line of `rutter bench`.
type benchFigure struct {
	Figure string  `json:"figure"`
	Unit   string  `json:"unit"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`
}

const benchWorkload = "rutter-bench"

// newBenchCommand measures a live cluster as its users have it.
func newBenchCommand() *cobra.Command {
	var given client.Config
	var config, namespace string
	var replicas, rounds int
	cmd := &cobra.Command{
		Use:   "bench IMAGE",
		Short: "Measure the cluster: apply to ready, delete to gone, replay; one JSON line a figure",
		Long: `Measure the cluster as its users have it: start so many instances of an image and stop them again, several times, then replay its log. It
makes a workload called ` + benchWorkload + ` and removes it. Figures beside the floor of the same machine are those of ` + "`task bench`" + ` and, for replay and
time travel on a long log, ` + "`rutter bench log`" + `.`,
		Args: args(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := client.FindConfig(given, config)
			if err != nil {
				return err
			}
			door, err := client.New(found)
			if err != nil {
				return err
			}
			image, err := spec.ParseImage(args[0])
			if err != nil {
				return usagef("%v", err)
			}
			if rounds < 1 {
				return usagef("rounds: %d: want at least 1", rounds)
			}
			w := spec.Workload{
				APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: benchWorkload, Namespace: namespace},
				Spec: spec.WorkloadSpec{Replicas: &replicas, GracePeriod: spec.Duration(time.Second), Containers: []spec.Container{{Name: "main", Image: image}}},
			}
			w.Default()
			return bench(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), door, w, rounds)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&given.Address, "address", "", "address of the gateway (default client.json's)")
	flags.StringVar(&given.Token, "token", "", "token for it")
	flags.StringVar(&config, "client-config", "", "another client.json")
	flags.StringVarP(&namespace, "namespace", "n", spec.DefaultNamespace, "namespace")
	flags.IntVar(&replicas, "replicas", 1, "instances started at once")
	flags.IntVar(&rounds, "rounds", 5, "times")
	cmd.AddCommand(newBenchLogCommand())
	return cmd
}

func bench(ctx context.Context, out, progress io.Writer, door *client.Client, w spec.Workload, rounds int) error {
	var starts, stops []float64
	for round := range rounds {
		fmt.Fprintf(progress, "round %d of %d\n", round+1, rounds)
		start, err := timed(func() error {
			if _, err := door.Apply(ctx, w, client.Options{Reason: "rutter bench"}); err != nil {
				return err
			}
			return awaitState(ctx, door, w, func(got api.Workload, gone bool) bool { return !gone && got.Status.State == api.WorkloadReady })
		})
		if err != nil {
			return err
		}
		stop, err := timed(func() error {
			if _, err := door.Delete(ctx, w.Metadata.Namespace, w.Metadata.Name, client.Options{Reason: "rutter bench"}); err != nil {
				return err
			}
			return awaitState(ctx, door, w, func(_ api.Workload, gone bool) bool { return gone })
		})
		if err != nil {
			return err
		}
		starts, stops = append(starts, start.Seconds()*1000), append(stops, stop.Seconds()*1000)
	}
	replay, err := replayRate(ctx, door)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	replicas := *w.Spec.Replicas
	for _, f := range []benchFigure{
		summarise(fmt.Sprintf("apply to %d ready", replicas), "ms", starts),
		summarise(fmt.Sprintf("delete to %d gone", replicas), "ms", stops),
		summarise("events replayed over HTTP", "events/s", []float64{replay}),
	} {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

func timed(do func() error) (time.Duration, error) {
	begin := time.Now()
	err := do()
	return time.Since(begin), err
}

func summarise(figure, unit string, all []float64) benchFigure {
	slices.Sort(all)
	return benchFigure{Figure: figure, Unit: unit, Min: all[0], Median: all[len(all)/2], Max: all[len(all)-1], Rounds: len(all)}
}

// awaitState waits until a workload is as wanted, or gone.
func awaitState(ctx context.Context, door *client.Client, w spec.Workload, done func(got api.Workload, gone bool) bool) error {
	filter := client.Filter{Namespace: w.Metadata.Namespace, Workload: w.Metadata.Name}
	return door.Await(ctx, filter, func(ctx context.Context, sequence uint64) (bool, error) {
		got, err := door.Workload(ctx, w.Metadata.Namespace, w.Metadata.Name, sequence)
		var problem *api.Problem
		gone := errors.As(err, &problem) && problem.Status == http.StatusNotFound
		if err != nil && !gone {
			return false, err
		}
		return done(got, gone), nil
	})
}

// replayRate folds the whole log as it comes over HTTP.
func replayRate(ctx context.Context, door *client.Client) (float64, error) {
	state, count := projections.NewState(), 0
	took, err := timed(func() error {
		return door.Events(ctx, 1, client.Filter{}, func(e events.Event) error {
			state.Apply(e)
			count++
			return nil
		})
	})
	return float64(count) / took.Seconds(), err
}
