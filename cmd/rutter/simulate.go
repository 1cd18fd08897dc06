package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/services/scheduler/placement"
	"github.com/rutter-run/rutter/services/scheduler/trace"
)

// simulateFlags are what a simulation is told.
type simulateFlags struct {
	nodes, pods, order, plot, output, file string
	policies                               []string
	seed                                   uint64
	seeds, at                              int
	ratio                                  float64
}

func newSimulateCommand(c *cli) *cobra.Command {
	f := &simulateFlags{}
	command := &cobra.Command{
		Use:   "simulate --nodes nodes.csv --pods pods.csv",
		Short: "Play a trace of arrivals against scheduling policies, and compare them",
		Long: `Read a list of nodes (sn, cpu_milli, memory_mib, gpu, model) and one of arrivals (name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec,
creation_time), as in Alibaba's cluster-trace-gpu-v2023, and place the arrivals one by one with the scheduler's own filters and scores. What fits
nowhere is dropped and counts as arrived. No cluster is needed, and none is touched.

Shuffled, the arrivals are drawn again at random until they ask for --ratio times the cluster's GPUs. The table tells how much
was allocated when --at percent had arrived, over the seeds.`,
		Example: `  rutter simulate --nodes nodes.csv --pods pods.csv --policy fgd,best-fit --seeds 10 --plot curves.svg`,
		Args:    args(0, 0, "no argument"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.simulate(cmd.Context(), f) },
	}
	flags := command.Flags()
	flags.StringVar(&f.nodes, "nodes", "", "CSV list of nodes")
	flags.StringVar(&f.pods, "pods", "", "CSV list of arrivals")
	flags.StringSliceVar(&f.policies, "policy", []string{"all"}, "profiles to compare, or all of the GPU ones")
	flags.StringVar(&f.file, "policy-file", "", "scheduling policy (YAML or JSON) with further profiles")
	flags.Uint64Var(&f.seed, "seed", 1, "first seed")
	flags.IntVar(&f.seeds, "seeds", 1, "how many seeds to run, each the next number")
	flags.Float64Var(&f.ratio, "ratio", 1.3, "how much the arrivals ask for, as a multiple of the cluster's GPUs")
	flags.StringVar(&f.order, "order", "shuffled", "shuffled, or arrival: as the list says, once")
	flags.IntVar(&f.at, "at", 100, "where the table is taken, in percent of arrived load")
	flags.StringVar(&f.plot, "plot", "", "write the curves to this SVG file")
	flags.StringVarP(&f.output, "output", "o", "table", "table or json")
	return command
}

// comparable are the profiles that --policy all means.
var comparable = []string{
	placement.ProfileRandom, placement.ProfileDotProduct, placement.ProfileGPUClustering, placement.ProfileGPUPacking, placement.ProfileBestFit,
	placement.ProfileFGD, placement.ProfileTightFGD,
}

func (f *simulateFlags) check() error {
	switch {
	case f.nodes == "" || f.pods == "":
		return usagef("which trace? want --nodes and --pods")
	case f.order != "shuffled" && f.order != "arrival":
		return usagef("--order %q: want shuffled or arrival", f.order)
	case f.output != "table" && f.output != "json":
		return usagef("--output %q: want table or json", f.output)
	case f.seeds < 1 || f.seeds > 1000:
		return usagef("--seeds %d: want 1 to 1000", f.seeds)
	case f.ratio <= 0 || f.ratio > 100:
		return usagef("--ratio %g: want more than 0, and 100 at most", f.ratio)
	}
	return nil
}

func (f *simulateFlags) trace() (t trace.Trace, err error) {
	nodes, err := os.Open(f.nodes)
	if err != nil {
		return t, err
	}
	defer nodes.Close()
	pods, err := os.Open(f.pods)
	if err != nil {
		return t, err
	}
	defer pods.Close()
	if t.Nodes, err = trace.ReadNodes(nodes); err != nil {
		return t, err
	}
	t.Pods, err = trace.ReadPods(pods)
	return t, err
}

// readPolicy reads a policy file; the built-in policy where there is none.
func readPolicy(file string) (*placement.Policy, error) {
	if file == "" {
		return placement.DefaultPolicy(), nil
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := placement.ParsePolicy(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return policy, nil
}

func (c *cli) simulate(ctx context.Context, f *simulateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	t, err := f.trace()
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.file)
	if err != nil {
		return err
	}
	policy.Sample = placement.SampleAll
	names := f.policies
	if slices.Contains(names, "all") {
		names = comparable
	}
	show := c.newProgress()
	defer show.end()
	var runs [][]trace.Result
	var summaries []trace.Summary
	for _, name := range names {
		var of []trace.Result
		for seed := f.seed; seed < f.seed+uint64(f.seeds) && ctx.Err() == nil; seed++ {
			show.tell(fmt.Sprintf("simulating %s, seed %d", name, seed))
			policy.Seed = seed
			arrivals := t.InOrder()
			if f.order == "shuffled" {
				arrivals = t.Arrivals(seed, f.ratio)
			}
			r, err := t.Run(arrivals, policy, name)
			if err != nil {
				return err
			}
			of = append(of, r)
			if f.order == "arrival" {
				break // every seed would be nearly the same
			}
		}
		runs, summaries = append(runs, of), append(summaries, trace.Summarise(of, f.at))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	show.end()
	if f.plot != "" {
		if err := writePlot(f.plot, runs); err != nil {
			return err
		}
	}
	if f.output == "json" {
		return json.NewEncoder(c.out).Encode(struct {
			Summaries []trace.Summary  `json:"summaries"`
			Runs      [][]trace.Result `json:"runs"`
		}{summaries, runs})
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "POLICY\tSEEDS\tARRIVED\tALLOCATED\tDEVIATION\tFRAGMENTED\tUNPLACED")
	for _, s := range summaries {
		fmt.Fprintf(w, "%s\t%d\t%d %%\t%.2f %%\t%.2f\t%.2f %%\t%.0f\n", s.Profile, s.Seeds, s.Arrived, s.Allocated, s.Deviation, s.Fragmentation, s.Unplaced)
	}
	return w.Flush()
}

func writePlot(file string, runs [][]trace.Result) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return cmp.Or(trace.Plot(out, runs), out.Close())
}
