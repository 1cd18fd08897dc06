package projections_test

import (
	"testing"

	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

// TestAMadeUpHistoryIsLikeARealOne: what benchmarks and long tests fold has all that a cluster goes through, and is valid.
func TestAMadeUpHistoryIsLikeARealOne(t *testing.T) {
	s, types := projections.NewState(), map[string]int{}
	var hash string
	for e := range (projectionstest.History{Seed: 1, Nodes: 50}).Events(20_000) {
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
		s.Apply(e)
	}
	hash = s.View().Hash()
	if len(types) < 22 {
		t.Errorf("only %d types of events: %v", len(types), types)
	}
	ready, counts := 0, s.View().Counts()
	for i := range s.View().Instances() {
		if i.Phase == "Ready" {
			ready++
		}
	}
	if ready < counts.Instances/4 || counts.Workloads < 20 || counts.Nodes != 50 {
		t.Errorf("%d of %+v are ready", ready, counts)
	}
	again := projections.NewState()
	for e := range (projectionstest.History{Seed: 1, Nodes: 50}).Events(20_000) {
		again.Apply(e)
	}
	if again.View().Hash() != hash {
		t.Error("the same seed tells something else")
	}
	t.Logf("%+v, %d ready, %v", counts, ready, types)
}
