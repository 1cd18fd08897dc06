package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/scheduler"
	"pgregory.net/rapid"
)

func priority(p spec.Priority) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Spec.Priority = p }
}

// hold puts an instance of a workload of its own on a node.
func (s *theatre) hold(name, on string, alter ...func(*spec.Workload)) {
	s.want(name, 0, alter...)
	s.Place(projectionstest.Key(name, 0, 1), on)
}

func evicted(all []events.Event) (names []string) {
	for _, e := range all {
		if r, ok := e.Data.(ledger.RevokedV2); ok && r.Cause == instance.CausePreempted {
			names = append(names, r.Instance.Workload)
		}
	}
	slices.Sort(names)
	return names
}

func TestRoomIsMadeForWhatMattersMore(t *testing.T) {
	half, all := needs(spec.Resources{CPU: 500}), needs(spec.Resources{CPU: 1000})
	for _, c := range []struct {
		name   string
		tell   func(*theatre)
		wanted []func(*spec.Workload)
		want   []string
	}{
		{"the lowest goes", func(s *theatre) {
			s.hold("low", "n1", half, priority(spec.PriorityLow))
			s.hold("mid", "n1", half)
		}, []func(*spec.Workload){half, priority(spec.PriorityHigh)}, []string{"low"}},
		{"no more than needed", func(s *theatre) {
			s.hold("a", "n1", needs(spec.Resources{CPU: 300}))
			s.hold("b", "n1", needs(spec.Resources{CPU: 600}))
		}, []func(*spec.Workload){half, priority(1)}, []string{"b"}},
		{"the younger of equals", func(s *theatre) {
			s.hold("old", "n1", half)
			s.hold("young", "n1", half)
		}, []func(*spec.Workload){half, priority(1)}, []string{"young"}},
		{"one rather than two", func(s *theatre) {
			s.hold("a", "n1", half)
			s.hold("b", "n1", half)
			s.Node("n2", spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
			s.hold("c", "n2", all)
		}, []func(*spec.Workload){all, priority(1)}, []string{"c"}},
		{"lower ones though they are more", func(s *theatre) {
			s.hold("a", "n1", half, priority(spec.PriorityLow))
			s.hold("b", "n1", half, priority(spec.PriorityLow))
			s.Node("n2", spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
			s.hold("c", "n2", all)
		}, []func(*spec.Workload){all, priority(1)}, []string{"a", "b"}},
		{"a host port", func(s *theatre) {
			s.hold("web", "n1", port(80, spec.TCP), needs(spec.Resources{}))
			s.hold("other", "n1", half)
		}, []func(*spec.Workload){port(80, spec.TCP), half, priority(1)}, []string{"web"}},
		{"never an equal", func(s *theatre) { s.hold("a", "n1", all) }, []func(*spec.Workload){all}, nil},
		{"never a higher one", func(s *theatre) {
			s.Node("n9", spec.Resources{CPU: 10}, nil)
			s.hold("a", "n1", all, priority(2))
			s.hold("z", "n9", needs(spec.Resources{CPU: 1}))
		}, []func(*spec.Workload){all, priority(1)}, nil},
		{"not in vain", func(s *theatre) { s.hold("a", "n1", half) }, []func(*spec.Workload){needs(spec.Resources{CPU: 2000}), priority(1)}, nil},
		{"not on a node that takes no work", func(s *theatre) {
			s.hold("a", "n1", all)
			s.Say(events.NodeSubject("n1"), node.NotReadyV1{Message: "disk"})
		}, []func(*spec.Workload){half, priority(1)}, nil},
		{"not where it is not wanted", func(s *theatre) { s.hold("a", "n1", all) },
			[]func(*spec.Workload){half, priority(1), func(w *spec.Workload) { w.Spec.NodeSelector = map[string]string{"zone": "moon"} }}, nil},
		{"not where enough is stopping already", func(s *theatre) {
			s.hold("going", "n1", half)
			s.hold("low", "n1", half, priority(spec.PriorityLow))
			s.Say(events.InstanceSubject(projectionstest.Key("going", 0, 1)), instance.StopRequestedV1{Cause: instance.CauseScaled})
		}, []func(*spec.Workload){half, priority(1)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, "n1")
			c.tell(s)
			s.want("important", 0, c.wanted...)
			if got := evicted(s.plan()); !slices.Equal(got, c.want) {
				t.Errorf("evicted %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnEvictionSaysForWhomAndThePlaceIsKept(t *testing.T) {
	s := open(t, "n1")
	s.hold("low", "n1", needs(spec.Resources{CPU: 800}), priority(spec.PriorityLow))
	low, important := projectionstest.Key("low", 0, 1), projectionstest.Key("important", 0, 1)
	requested := s.want("important", 0, needs(spec.Resources{CPU: 900}), priority(spec.PriorityHigh))
	all := s.plan()
	if len(all) != 2 {
		t.Fatalf("%d events, want Revoked and Unplaceable", len(all))
	}
	r := all[0].Data.(ledger.RevokedV2)
	if r.Instance != low || *r.By != important || r.Grace != spec.DefaultGracePeriod || all[0].Causation != requested.ID ||
		!strings.Contains(r.Message, "priority low makes room for default/important-0-1 of priority high") {
		t.Errorf("%s: %+v", events.Line(all[0]), r)
	}
	if line := all[1].Data.(unplaced.UnplaceableV2).Line(); line != "unplaceable: 0 of 1 nodes fit: 1 short of cpu; awaits room on n1" {
		t.Error(line)
	}
	// What comes later does not take the room, although some of it is free already.
	s.want("late", 0, needs(spec.Resources{CPU: 100}))
	s.plan()
	if s.where("late", 0) != "n1" {
		t.Error("100m are left beside what is kept, and nobody got them")
	}
	s.want("later", 0, needs(spec.Resources{CPU: 100}))
	s.plan()
	if s.where("later", 0) != "" {
		t.Error("the room that was made went to somebody else")
	}
	s.Stopped(low, report.OutcomeRevoked)
	s.plan()
	if s.where("important", 0) != "n1" {
		t.Error("it does not run where room was made for it")
	}
}

// TestVictimsAreLowerAndNoneCouldBeSpared checks every eviction for one instance on any nodes.
func TestVictimsAreLowerAndNoneCouldBeSpared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &theatre{Story: projectionstest.New()}
		for n := range rapid.IntRange(1, 3).Draw(t, "nodes") {
			s.Node(fmt.Sprintf("n%d", n), spec.Resources{CPU: 1000, Memory: 1000}, nil)
		}
		amount := func(what string) spec.Resources {
			return spec.Resources{CPU: spec.CPU(rapid.IntRange(0, 600).Draw(t, what)), Memory: spec.Bytes(rapid.IntRange(0, 600).Draw(t, what))}
		}
		for n := range rapid.IntRange(1, 12).Draw(t, "held") {
			s.want(fmt.Sprintf("w%d", n), 0, needs(amount("holds")), priority(spec.Priority(rapid.IntRange(0, 3).Draw(t, "priority"))))
			_ = s.Commit(scheduler.Place(s.View(), s.Now).Batch)
		}
		for i := range s.View().Instances() {
			if !i.Placed() {
				s.Say(events.InstanceSubject(i.Key), instance.StopRequestedV1{Cause: instance.CauseScaled})
			}
		}
		wanted, before := amount("wants"), s.View()
		s.want("important", 0, needs(wanted), priority(2))
		plan := scheduler.Place(s.View(), s.Now)
		for _, w := range plan.Batch {
			victims := map[string]spec.Resources{}
			for _, e := range w.Events {
				if r, ok := e.Data.(ledger.RevokedV2); ok && r.Cause == instance.CausePreempted {
					i, _ := before.Instance(r.Instance)
					if victims[i.Key.Name] = i.Spec.Requests(); i.Spec.Priority >= 2 {
						t.Fatalf("%s of priority %s is a victim of priority 2", i.Key, i.Spec.Priority)
					}
				}
			}
			if len(victims) == 0 {
				continue
			}
			n, _ := before.Node(w.Subject.Node())
			free := n.Capacity.Sub(n.Allocated)
			for e := range before.Entries(n.Name) {
				if e.Revoked {
					free = free.Add(e.Requests) // it was evicted before
				}
			}
			for _, held := range victims {
				free = free.Add(held)
			}
			if short := free.Short(wanted); len(short) > 0 {
				t.Fatalf("after %v are gone it is still short of %v", victims, short)
			}
			for name, held := range victims {
				if len(free.Sub(held).Short(wanted)) == 0 {
					t.Fatalf("%s could have been spared of %v", name, victims)
				}
			}
		}
	})
}
