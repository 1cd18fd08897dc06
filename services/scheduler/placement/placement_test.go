package placement_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/scheduler/placement"
	"pgregory.net/rapid"
)

// town is three nodes: two in zone a, one in zone b.
func town() *projectionstest.Story {
	s := projectionstest.New()
	for _, n := range []struct{ name, zone, cores string }{{"n1", "a", "8"}, {"n2", "a", "32"}, {"n3", "b", "64"}} {
		s.Node(n.name, spec.Resources{CPU: 8000, Memory: 16 << 30, GPU: 2 * spec.Device}, map[string]string{"zone": n.zone, "cores": n.cores})
	}
	return s
}

func run(s *projectionstest.Story, on, name string, alter ...func(*spec.Workload)) {
	w := projectionstest.Document(name, 1, alter...)
	k := projectionstest.Key(name, 0, 1)
	s.Say(events.InstanceSubject(k), instance.RequestedV1{Attempt: 1, Revision: 1, Spec: w.Instance(), Cause: instance.CauseApplied})
	s.Place(k, on)
}

func labelled(key, value string) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Metadata.Labels = map[string]string{key: value} }
}

func wants(alter func(*spec.WorkloadSpec)) func(*spec.Workload) {
	return func(w *spec.Workload) { alter(&w.Spec) }
}

func gpu(g spec.GPUs) func(*spec.Workload) {
	return wants(func(s *spec.WorkloadSpec) { s.Containers[0].Resources.Requests.GPU = g })
}

func nodeTerm(e ...spec.Expression) *spec.Affinity {
	return &spec.Affinity{Node: &spec.NodeAffinity{Required: []spec.NodeTerm{{MatchExpressions: e}}}}
}

func selects(app, key string) spec.InstanceTerm {
	return spec.InstanceTerm{LabelSelector: spec.LabelSelector{MatchLabels: map[string]string{"app": app}}, TopologyKey: key}
}

// choose places one instance and says where, or why nowhere.
func choose(t testing.TB, s *projectionstest.Story, policy *placement.Policy, alter ...func(*spec.Workload)) (string, []ledger.Score) {
	t.Helper()
	w := projectionstest.Document("web", 1, alter...)
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	p := placement.NewPool(s.View(), policy)
	profile, _ := policy.Profile(w.Spec.Policy)
	inner := w.Instance()
	task := p.NewTask("default", "web", "default/web/1", &inner, profile)
	c := p.Choose(task, "default/web-0-1")
	if c.Node == nil {
		return p.Explain(task).Line(), nil
	}
	return c.Node.State.Name, c.Scores
}

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(*projectionstest.Story)
		want func(*spec.Workload)
		node string
	}{
		{"in", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = nodeTerm(spec.Expression{Key: "zone", Operator: spec.OpIn, Values: []string{"b", "c"}})
		}), "n3"},
		{"not in", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = nodeTerm(spec.Expression{Key: "zone", Operator: spec.OpNotIn, Values: []string{"a"}})
		}), "n3"},
		{"exists", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = nodeTerm(spec.Expression{Key: "disk", Operator: spec.OpExists})
		}),
			"unplaceable: 0 of 3 nodes fit: 3 without disk"},
		{"does not exist", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = nodeTerm(spec.Expression{Key: "zone", Operator: spec.OpDoesNotExist})
		}), "unplaceable: 0 of 3 nodes fit: 3 without !zone"},
		{"more than, and less than", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = nodeTerm(spec.Expression{Key: "cores", Operator: spec.OpGt, Values: []string{"8"}}, spec.Expression{Key: "cores", Operator: spec.OpLt, Values: []string{"64"}})
		}), "n2"},
		{"one term or another", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = &spec.Affinity{Node: &spec.NodeAffinity{Required: []spec.NodeTerm{
				{MatchExpressions: []spec.Expression{{Key: "zone", Operator: spec.OpIn, Values: []string{"moon"}}}},
				{MatchExpressions: []spec.Expression{{Key: "zone", Operator: spec.OpIn, Values: []string{"b"}}}},
			}}}
		}), "n3"},
		{"near", func(s *projectionstest.Story) { run(s, "n3", "db", labelled("app", "db")) }, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = &spec.Affinity{Instance: &spec.InstanceAffinity{Required: []spec.InstanceTerm{selects("db", "zone")}}}
		}), "n3"},
		{"near nobody", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = &spec.Affinity{Instance: &spec.InstanceAffinity{Required: []spec.InstanceTerm{selects("db", "zone")}}}
		}), "unplaceable: 0 of 3 nodes fit: 3 not near app=db by zone"},
		{"far", func(s *projectionstest.Story) { run(s, "n1", "db", labelled("app", "db")) }, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = &spec.Affinity{InstanceAnti: &spec.InstanceAffinity{Required: []spec.InstanceTerm{selects("db", "zone")}}}
		}), "n3"},
		{"kept away by one that is there", func(s *projectionstest.Story) {
			run(s, "n3", "shy", wants(func(s *spec.WorkloadSpec) {
				s.Affinity = &spec.Affinity{InstanceAnti: &spec.InstanceAffinity{Required: []spec.InstanceTerm{{TopologyKey: "zone"}}}}
			}))
			run(s, "n1", "sly", wants(func(s *spec.WorkloadSpec) {
				s.Affinity = &spec.Affinity{InstanceAnti: &spec.InstanceAffinity{Required: []spec.InstanceTerm{{TopologyKey: "zone"}}}}
			}))
		}, wants(func(*spec.WorkloadSpec) {}), "unplaceable: 0 of 3 nodes fit: 3 where others keep anything by zone away"},
		{"evenly", func(s *projectionstest.Story) { run(s, "n1", "other", labelled("app", "x")) }, wants(func(s *spec.WorkloadSpec) {
			s.TopologySpread = []spec.TopologySpread{{TopologyKey: "zone", LabelSelector: &spec.LabelSelector{MatchLabels: map[string]string{"app": "x"}}}}
			s.NodeSelector = map[string]string{"zone": "a"}
		}), "n2"},
		{"tainted", func(s *projectionstest.Story) {
			for _, n := range []string{"n1", "n2", "n3"} {
				s.Say(events.NodeSubject(n), node.TaintedV1{Set: []spec.Taint{{Key: "for", Value: "gpu", Effect: spec.NoSchedule}}})
			}
		}, wants(func(*spec.WorkloadSpec) {}), "unplaceable: 0 of 3 nodes fit: 3 tainted for=gpu:NoSchedule"},
		{"tolerant", func(s *projectionstest.Story) {
			for _, n := range []string{"n1", "n2", "n3"} {
				s.Say(events.NodeSubject(n), node.TaintedV1{Set: []spec.Taint{{Key: "for", Value: n, Effect: spec.NoExecute}}})
			}
		}, wants(func(s *spec.WorkloadSpec) { s.Tolerations = []spec.Toleration{{Key: "for", Value: "n2"}} }), "n2"},
		{"rather not tainted", func(s *projectionstest.Story) {
			for _, n := range []string{"n1", "n3"} {
				s.Say(events.NodeSubject(n), node.TaintedV1{Set: []spec.Taint{{Key: "old", Effect: spec.PreferNoSchedule}}})
			}
			run(s, "n2", "full", wants(func(s *spec.WorkloadSpec) { s.Containers[0].Resources.Requests.CPU = 7000 }))
		}, wants(func(*spec.WorkloadSpec) {}), "n2"},
		{"preferred", nil, wants(func(s *spec.WorkloadSpec) {
			s.Affinity = &spec.Affinity{Node: &spec.NodeAffinity{Preferred: []spec.PreferredNodeTerm{{Weight: 3, MatchExpressions: []spec.Expression{{Key: "zone", Operator: spec.OpIn, Values: []string{"b"}}}}}}}
		}), "n3"},
		{"half a GPU where there is half", func(s *projectionstest.Story) {
			run(s, "n1", "a", gpu(600))
			run(s, "n2", "b", gpu(500))
			run(s, "n3", "c", gpu(700))
		}, func(w *spec.Workload) { gpu(500)(w); w.Spec.Policy = placement.ProfileGPUPacking }, "n2"},
		{"no GPU in parts", func(s *projectionstest.Story) {
			for n := range 3 {
				run(s, fmt.Sprintf("n%d", n+1), fmt.Sprintf("a%d", n), gpu(500))
			}
		}, gpu(2 * spec.Device), "unplaceable: 0 of 3 nodes fit: 3 short of gpu"},
		{"whole GPUs only", func(s *projectionstest.Story) {
			for n := range 3 {
				name := fmt.Sprintf("n%d", n+1)
				s.Node(name, spec.Resources{CPU: 8000, Memory: 16 << 30, GPU: 3 * spec.Device}, nil)
				run(s, name, fmt.Sprintf("a%d", n), gpu(500), func(w *spec.Workload) {
					w.Spec.Containers = append(w.Spec.Containers, spec.Container{Name: "b", Image: w.Spec.Containers[0].Image, Resources: spec.Requirements{Requests: spec.Resources{GPU: 600}}})
				})
			}
		}, gpu(2 * spec.Device), "unplaceable: 0 of 3 nodes fit: 3 short of gpu"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := town()
			if c.tell != nil {
				c.tell(s)
			}
			if got, _ := choose(t, s, placement.DefaultPolicy(), c.want); got != c.node {
				t.Errorf("%s, want %s", got, c.node)
			}
		})
	}
}

func TestPoliciesSayWhatIsWrongWithThem(t *testing.T) {
	for document, want := range map[string]string{
		"profiles: [{name: mine, scores: {speed: 1}}]": `profiles[0].scores: "speed": want one of spread, least-allocated`,
		"profiles: [{name: mine, scores: {}}]":         "profiles[0].scores: want a score at least",
		"profiles: [{name: My, scores: {spread: -1}}]": "profiles[0].name",
		"default: mine":           `default: "mine": want the name of a profile`,
		"sample: 101":             "sample",
		"overcommit: {cpu: none}": "overcommit.cpu",
		"profiles: [{name: a, scores: {spread: 1}, devices: last}]": "profiles[0].devices",
		"colour: red": "colour: no such field",
	} {
		if _, err := placement.ParsePolicy([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", document, err, want)
		}
	}
	p, err := placement.ParsePolicy([]byte("default: mine\novercommit: {cpu: 1.5}\nprofiles: [{name: mine, scores: {most-allocated: 1}}]"))
	if err != nil || p.Overcommit.CPU != 1500 {
		t.Fatalf("%+v: %v", p, err)
	}
	s := projectionstest.New()
	s.Node("n1", spec.Resources{CPU: 1000, Memory: 16 << 30}, nil)
	if got, _ := choose(t, s, p, wants(func(s *spec.WorkloadSpec) { s.Containers[0].Resources.Requests.CPU = 1500 })); got != "n1" {
		t.Errorf("1.5 times a core hold 1500m: %s", got)
	}
	if got, _ := choose(t, s, p, wants(func(s *spec.WorkloadSpec) { s.Containers[0].Resources.Requests.CPU = 1501 })); got == "n1" {
		t.Error("1.5 times a core hold 1501m")
	}
}

// TestARankingChoosesWhatAFullScanWould: what is kept in a heap and brought up to date is what looking at every node gives.
func TestARankingChoosesWhatAFullScanWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := projectionstest.New()
		for n := range rapid.IntRange(1, 8).Draw(t, "nodes") {
			s.Node(fmt.Sprintf("n%d", n), spec.Resources{
				CPU: spec.CPU(rapid.IntRange(0, 4000).Draw(t, "cpu")), Memory: 4 << 30, GPU: spec.GPUs(rapid.IntRange(0, 4).Draw(t, "gpu")) * spec.Device,
			}, map[string]string{"zone": fmt.Sprint(n % 2)})
		}
		policy := placement.DefaultPolicy()
		name := rapid.SampledFrom(policy.Profiles).Draw(t, "profile").Name
		profile, _ := policy.Profile(name)
		ranked, scanned := placement.NewPool(s.View(), policy), placement.NewPool(s.View(), policy)
		type pair struct{ a, b *placement.Task }
		var tasks []pair
		var typical []placement.Typical
		for n := range rapid.IntRange(1, 4).Draw(t, "tasks") {
			w := projectionstest.Document(fmt.Sprintf("w%d", n), 1, wants(func(s *spec.WorkloadSpec) {
				s.Containers[0].Resources.Requests.CPU = spec.CPU(rapid.IntRange(0, 800).Draw(t, "wants cpu"))
				s.Containers[0].Resources.Requests.GPU = rapid.SampledFrom([]spec.GPUs{0, 300, 500, 1000, 2000}).Draw(t, "wants gpu")
			}))
			inner := w.Instance()
			title := fmt.Sprintf("default/w%d/1", n)
			tasks = append(tasks, pair{ranked.NewTask("default", w.Metadata.Name, title, &inner, profile), scanned.NewTask("default", w.Metadata.Name, title, &inner, profile)})
			typical = append(typical, placement.Typical{Task: placement.NewAsk(&inner), Count: n + 1})
		}
		ranked.SetTypical(typical)
		scanned.SetTypical(typical)
		for n := range rapid.IntRange(1, 40).Draw(t, "placements") {
			task := rapid.SampledFrom(tasks).Draw(t, "task")
			instance := fmt.Sprintf("i%d", n)
			got, want := ranked.Choose(task.a, instance), scanned.Scan(task.b, instance)
			if (got.Node == nil) != (want.Node == nil) || got.Fitted != want.Fitted || fmt.Sprint(got.Scores) != fmt.Sprint(want.Scores) {
				t.Fatalf("ranked %d fit, %v; scanned %d fit, %v", got.Fitted, got.Scores, want.Fitted, want.Scores)
			}
			if got.Node != nil {
				a, b := ranked.Take(got.Node, task.a), scanned.Take(want.Node, task.b)
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Fatalf("devices %v and %v", a, b)
				}
			}
		}
	})
}

// TestNoDeviceIsGivenAwayTwice places anything by any profile and adds up.
func TestNoDeviceIsGivenAwayTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := projectionstest.New()
		s.Node("n1", spec.Resources{CPU: 100_000, Memory: 1 << 40, GPU: 3 * spec.Device}, nil)
		policy := placement.DefaultPolicy()
		profile, _ := policy.Profile(rapid.SampledFrom(policy.Profiles).Draw(t, "profile").Name)
		p := placement.NewPool(s.View(), policy)
		taken := map[int]spec.GPUs{}
		for n := range rapid.IntRange(1, 12).Draw(t, "instances") {
			w := projectionstest.Document(fmt.Sprintf("w%d", n), 1, func(w *spec.Workload) {
				for range rapid.IntRange(0, 2).Draw(t, "more containers") {
					w.Spec.Containers = append(w.Spec.Containers, w.Spec.Containers[0])
				}
				for c := range w.Spec.Containers {
					w.Spec.Containers[c].Resources.Requests.GPU = rapid.SampledFrom([]spec.GPUs{0, 250, 700, 1000, 2000}).Draw(t, "gpu")
				}
			})
			inner := w.Instance()
			task := p.NewTask("default", w.Metadata.Name, w.Metadata.Name, &inner, profile)
			c := p.Choose(task, w.Metadata.Name)
			if c.Node == nil {
				continue
			}
			sum := spec.GPUs(0)
			for _, share := range p.Take(c.Node, task) {
				sum += share.Share
				if taken[share.Device] += share.Share; taken[share.Device] > spec.Device {
					t.Fatalf("device %d is given away %s times", share.Device, taken[share.Device])
				}
			}
			if want := inner.Requests().GPU; sum != want {
				t.Fatalf("%s of %s GPUs", sum, want)
			}
		}
	})
}
