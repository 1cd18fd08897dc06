package reconciler_test

import (
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
)

func TestScalingDownChoosesItsVictimsInTheStatedOrder(t *testing.T) {
	unready := func(s *theatre, slot int) {
		s.Report(key(slot, 1), report.UnhealthyV1{Container: "main", Run: 1, Message: "503"})
	}
	for _, c := range []struct {
		name   string
		alter  func(*theatre) // four ready instances: 0 and 2 on n1, 1 and 3 on n2
		victim string
		why    string
	}{
		{"without a node before one that is not ready", func(s *theatre) { unready(s, 2); s.ask(workload.ScaleV1{Replicas: 5}) }, "web-4-1", "it has no node yet"},
		{"not ready before a bad node", func(s *theatre) { unready(s, 0); s.Say(events.NodeSubject("n2"), node.CordonedV1{}) }, "web-0-1", "it is not ready"},
		{"a cordoned node before the crowd", func(s *theatre) {
			s.ask(workload.ScaleV1{Replicas: 5})
			s.up(key(4, 1), "n1")
			s.Say(events.NodeSubject("n2"), node.CordonedV1{})
		}, "web-3-1", "its node is cordoned, tainted or not well"},
		{"a tainted node", func(s *theatre) {
			s.Say(events.NodeSubject("n2"), node.TaintedV1{Set: []spec.Taint{{Key: "a", Effect: spec.NoSchedule}}})
		}, "web-3-1", "its node is cordoned, tainted or not well"},
		{"a taint that only prefers is none", func(s *theatre) {
			s.Say(events.NodeSubject("n1"), node.TaintedV1{Set: []spec.Taint{{Key: "a", Effect: spec.PreferNoSchedule}}})
		}, "web-3-1", "its node has most of them"},
		{"a suspected node", func(s *theatre) { s.Say(events.NodeSubject("n1"), node.SuspectedV1{}) }, "web-2-1", "its node is cordoned, tainted or not well"},
		{"the fuller node before the youngest", func(s *theatre) {
			s.ask(workload.ScaleV1{Replicas: 6})
			s.up(key(4, 1), "n1")
			s.up(key(5, 1), "n3")
		}, "web-4-1", "its node has most of them"},
		{"of two full nodes the one with the youngest", func(*theatre) {}, "web-3-1", "its node has most of them"},
		{"the youngest", func(s *theatre) {
			s.ask(workload.ScaleV1{Replicas: 2})
			s.stopped(key(2, 1))
			s.stopped(key(3, 1))
			s.expect("web-2-1 retired", "web-3-1 retired")
			s.ask(workload.ScaleV1{Replicas: 3})
			s.up(key(2, 2), "n3")
		}, "web-2-2", "it is the youngest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := running(t, 4)
			c.alter(s)
			w, _ := s.View().Workload("default", "web")
			wished := w.Replicas() - 1
			s.ask(workload.ScaleV1{Replicas: wished})
			for i := range s.View().InstancesOf("default", "web") {
				if i.Retired {
					continue
				}
				if (i.Stop != nil) != (i.Key.Name == c.victim) {
					t.Errorf("%s is to stop: %v", i.Key.Name, i.Stop != nil)
				}
				if i.Stop != nil && i.Stop.Message != "more than the "+string(rune('0'+wished))+" wished for, and "+c.why {
					t.Errorf("%s stops because %q", i.Key.Name, i.Stop.Message)
				}
			}
		})
	}
}

func TestASlotThatWasGivenUpIsTheFirstToBeFilledAgain(t *testing.T) {
	s := running(t, 3)
	s.Report(key(1, 1), report.UnhealthyV1{Container: "main", Run: 1, Message: "503"})
	s.ask(workload.ScaleV1{Replicas: 2})
	s.stopped(key(1, 1))
	s.expect("web-1-1 retired")
	s.ask(workload.ScaleV1{Replicas: 4})
	for _, k := range []events.InstanceKey{key(1, 2), key(3, 1)} {
		if _, ok := s.View().Instance(k); !ok {
			t.Errorf("%s was not requested", k)
		}
	}
}
