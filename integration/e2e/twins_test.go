package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/projections"
)

// TestTwoOfEachDeciderDoNoHarm: two reconcilers and two schedulers decide at once, without leases, on a replicated log. Nothing is over-committed and no slot
// is filled twice, at no sequence of the log.
func TestTwoOfEachDeciderDoNoHarm(t *testing.T) {
	free := []string{"--lease=false"}
	c := start(t, cluster.Options{Servers: 3, Nodes: 3, Runtime: "sim", Deciders: map[string][]string{"reconciler": free, "scheduler": free}})
	for _, service := range []string{"reconciler", "scheduler"} {
		if _, err := c.StartTwin(service); err != nil {
			t.Fatal(err)
		}
	}
	door, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(n)))
			name := fmt.Sprintf("twin-%d", n)
			for range 12 {
				w := document(t, name, random.IntN(8))
				// More than three nodes of four cores have, so that a lost race would show.
				w.Spec.Containers[0].Resources.Requests.CPU = 700
				w.Spec.Containers[0].Ports = []spec.Port{{ContainerPort: 8080, HostPort: 20000 + n, Protocol: spec.TCP}}
				if _, err := door.Apply(t.Context(), w, client.Options{}); err != nil {
					t.Errorf("apply %s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
	quiet(t, door)
	conflicts := checkLog(t, door)
	t.Logf("%d events, every state in order", conflicts)
	if out, err := c.CLI(t.Context(), "replay", "--verify"); err != nil {
		t.Errorf("replay: %v\n%s", err, out)
	}
}

// quiet waits until every workload is ready, or explained: its missing instances wait for room.
func quiet(t *testing.T, door *client.Client) {
	t.Helper()
	err := cluster.Until(t.Context(), time.Minute, "quiet", func(ctx context.Context) error {
		list, err := door.Workloads(ctx, client.Selection{})
		if err != nil {
			return err
		}
		for _, w := range list.Items {
			placed := w.Status.Instances - w.Status.Phases[spec.PhasePending]
			if w.Status.State != api.WorkloadReady && placed != w.Status.Ready {
				return fmt.Errorf("%s is %s: %s", w.Metadata.Name, w.Status.State, w.Status.Message)
			}
			if w.Status.Wished != w.Status.Instances {
				return fmt.Errorf("%s has %d instances, want %d", w.Metadata.Name, w.Status.Instances, w.Status.Wished)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// checkLog folds the whole log and looks at the state after every event.
func checkLog(t *testing.T, door *client.Client) (count int) {
	t.Helper()
	state := projections.NewState()
	err := door.Events(t.Context(), 0, client.Filter{}, func(e events.Event) error {
		state.Apply(e)
		count++
		view := state.View()
		for n := range view.Nodes() {
			if short := n.Capacity.Short(n.Allocated); len(short) > 0 && n.Key != "" {
				return fmt.Errorf("sequence %d: %s is over-committed: %v of %v", e.Sequence, n.Name, n.Allocated, n.Capacity)
			}
			if ports := slices.Compact(slices.Clone(n.HostPorts)); len(ports) != len(n.HostPorts) {
				return fmt.Errorf("sequence %d: %s has a host port twice: %v", e.Sequence, n.Name, n.HostPorts)
			}
		}
		slots := map[string]string{}
		for i := range view.Instances() {
			slot := fmt.Sprintf("%s/%s/%d", i.Key.Namespace, i.Key.Workload, i.Slot)
			if other, taken := slots[slot]; i.Wished() && taken {
				return fmt.Errorf("sequence %d: slot %s is filled by %s and %s", e.Sequence, slot, other, i.Key.Name)
			}
			if i.Wished() {
				slots[slot] = i.Key.Name
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return count
}
