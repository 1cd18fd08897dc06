package projections_test

import (
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

var (
	big = spec.Resources{CPU: 4000, Memory: 8 << 30}
	web = projectionstest.Key("web", 0, 1)
)

// told is a story in which web-0-1 is requested, and nodes n1 and n2 are ready.
func told(alter ...func(*spec.Workload)) *projectionstest.Story {
	s := projectionstest.New()
	s.Node("n1", big, nil)
	s.Node("n2", big, nil)
	document := projectionstest.Document("web", 1, alter...)
	s.Say(events.WorkloadSubject("default", "web"), workload.AppliedV1{Revision: 1, Workload: document})
	request(s, 0, 1, instance.CauseApplied, document)
	return s
}

func request(s *projectionstest.Story, slot, attempt int, cause instance.Cause, document spec.Workload) {
	s.Say(events.InstanceSubject(projectionstest.Key("web", slot, attempt)), instance.RequestedV1{
		Slot: slot, Attempt: attempt, Revision: 1, Spec: document.Instance(), Cause: cause,
	})
}

func get(t *testing.T, s *projectionstest.Story, k events.InstanceKey) *projections.Instance {
	t.Helper()
	i, ok := s.View().Instance(k)
	if !ok {
		t.Fatalf("there is no instance %s", k)
	}
	return i
}

func TestOnlyTheNumbersOfADeletedWorkloadAreRemembered(t *testing.T) {
	s := told()
	subject := events.WorkloadSubject("default", "web")
	s.Say(subject, workload.DeleteRequestedV1{})
	s.Say(subject, workload.DeletedV1{})
	w, ok := s.View().Workload("default", "web")
	if !ok || !w.Deleted || w.Revision != 1 || w.Document.Metadata.Name != "web" {
		t.Errorf("remembers %+v", w)
	}
	if len(w.Document.Spec.Containers) > 0 {
		t.Error("the document of a deleted workload is kept for ever")
	}
}

func TestPhases(t *testing.T) {
	two := func(w *spec.Workload) {
		side := w.Spec.Containers[0]
		side.Name = "side"
		w.Spec.Containers = append(w.Spec.Containers, side)
	}
	say := func(data ...events.Payload) func(*projectionstest.Story) {
		return func(s *projectionstest.Story) {
			s.Place(web, "n1")
			for _, d := range data {
				s.Report(web, d)
			}
		}
	}
	started := report.StartedV1{Container: "main", Run: 1}
	at := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		tell  func(*projectionstest.Story)
		two   bool
		phase spec.Phase
		why   string
	}{
		{"requested", func(*projectionstest.Story) {}, false, spec.PhasePending, "waits for the scheduler"},
		{"unplaceable", func(s *projectionstest.Story) {
			s.Say(events.UnplacedSubject(web), unplaced.UnplaceableV2{Nodes: 2, Reasons: []unplaced.Reason{{Filter: "resources", Detail: "short of cpu", Nodes: 2}}})
		}, false, spec.PhasePending, "unplaceable: 0 of 2 nodes fit: 2 short of cpu"},
		{"placed", say(), false, spec.PhasePlaced, "waits for node n1"},
		{"pulling", say(report.PullingV1{}), false, spec.PhasePulling, "pulls its images"},
		{"cannot pull", say(report.PullingV1{}, report.DelayedV1{Reason: "ImagePullBackOff", Message: "404"}), false, spec.PhasePulling, "ImagePullBackOff: 404"},
		{"created", say(report.CreatedV1{}), false, spec.PhaseStarting, "0 of 1 containers run"},
		{"one of two runs", say(started), true, spec.PhaseStarting, "1 of 2 containers run"},
		{"ready", say(started), false, spec.PhaseReady, "all containers are ready"},
		{"unhealthy", say(started, report.UnhealthyV1{Container: "main", Run: 1, Message: "503"}), false, spec.PhaseUnhealthy, "main: 503"},
		{"healthy again", say(started, report.UnhealthyV1{Container: "main", Run: 1, Message: "503"}, report.HealthyV1{Container: "main", Run: 1}), false, spec.PhaseReady, "all containers are ready"},
		{"exited", say(started, report.ExitedV1{Container: "main", Run: 1, Code: 3}), false, spec.PhaseStarting, "main ended with code 3"},
		{"crash loop", say(started, report.ExitedV1{Container: "main", Run: 1, OOM: true, Code: 137}, report.RestartingV1{Container: "main", Run: 2, NotBefore: at}),
			false, spec.PhaseCrashLoopBackOff, "main was killed: out of memory, next run 2 at 12:00:00"},
		{"failed", say(started, report.ExitedV1{Container: "main", Run: 1, Code: 3}, report.StoppedV1{Outcome: report.OutcomeFailed}), false, spec.PhaseFailed, "main ended with code 3"},
		{"rejected", say(report.RejectedV1{Reason: "BadImage", Message: "no linux/amd64"}), false, spec.PhaseFailed, "BadImage: no linux/amd64"},
		{"succeeded", say(started, report.StoppedV1{Outcome: report.OutcomeSucceeded}), false, spec.PhaseSucceeded, "Succeeded"},
		{"terminating", func(s *projectionstest.Story) {
			say(started)(s)
			s.Say(events.InstanceSubject(web), instance.StopRequestedV1{Cause: instance.CauseScaled})
		}, false, spec.PhaseTerminating, "Scaled"},
		{"lost", func(s *projectionstest.Story) {
			say(started)(s)
			s.Say(events.NodeSubject("n1"), node.LostV1{})
		}, false, spec.PhaseLost, "node n1 is lost"},
		{"found again", func(s *projectionstest.Story) {
			say(started)(s)
			s.Say(events.NodeSubject("n1"), node.LostV1{})
			s.Say(events.NodeSubject("n1"), node.ReturnedV1{WasLost: true})
		}, false, spec.PhaseReady, "all containers are ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var alter []func(*spec.Workload)
			if c.two {
				alter = append(alter, two)
			}
			s := told(alter...)
			c.tell(s)
			if i := get(t, s, web); i.Phase != c.phase || i.Reason != c.why {
				t.Errorf("is %s (%s), want %s (%s)", i.Phase, i.Reason, c.phase, c.why)
			}
		})
	}
}

func TestRunsOnlyClimb(t *testing.T) {
	s := told()
	s.Place(web, "n1")
	s.Report(web, report.StartedV1{Container: "main", Run: 2, ContainerID: "second"})
	for _, late := range []events.Payload{
		report.StartedV1{Container: "main", Run: 1, ContainerID: "first"}, report.HealthyV1{Container: "main", Run: 1},
		report.UnhealthyV1{Container: "main", Run: 1, Message: "503"}, report.ExitedV1{Container: "main", Run: 1, Code: 1},
	} {
		s.Report(web, late)
		if c := get(t, s, web).Containers[0]; c.Run != 2 || c.ID != "second" || !c.Running || !c.Healthy || c.Exit != nil {
			t.Errorf("after a late %T the container is %+v", late, c)
		}
	}
}

func TestTheFirstOfTwoAssignmentsCounts(t *testing.T) {
	s := told()
	s.Place(web, "n1")
	s.Place(web, "n2")
	if i := get(t, s, web); i.Node != "n1" {
		t.Errorf("the instance moved to %s", i.Node)
	}
	var surplus []string
	for e := range s.View().Surplus() {
		surplus = append(surplus, e.Node)
	}
	if len(surplus) != 1 || surplus[0] != "n2" {
		t.Errorf("to be taken back: %v, want n2", surplus)
	}
	// What the second node says of it is not what the instance is.
	s.Say(events.ReportSubject("n2", web), report.StoppedV1{Outcome: report.OutcomeRevoked})
	if get(t, s, web).End != nil {
		t.Error("the instance ended where it never was")
	}
	if n, _ := s.View().Node("n2"); n.Allocated.CPU != 0 {
		t.Errorf("n2 still holds %s cpu", n.Allocated.CPU)
	}
}

func TestAnAssignmentToANodeThatIsJustLostIsLost(t *testing.T) {
	for _, gone := range []events.Payload{node.LostV1{}, node.LeftV1{}} {
		s := told()
		lost := s.Say(events.NodeSubject("n1"), gone)
		s.Place(web, "n1")
		if i := get(t, s, web); !i.NodeLost || i.Lost.ID != lost.ID {
			t.Errorf("after %T: lost %v by %q", gone, i.NodeLost, i.Lost.ID)
		}
	}
}

func TestCapacityIsHeldUntilNothingIsLeft(t *testing.T) {
	held := func(s *projectionstest.Story) bool {
		n, _ := s.View().Node("n1")
		return n.Allocated.CPU > 0 && n.Instances == 1
	}
	stop := func(s *projectionstest.Story) {
		s.Say(events.InstanceSubject(web), instance.StopRequestedV1{Cause: instance.CauseScaled})
		s.Revoke(web)
	}
	retire := func(s *projectionstest.Story) {
		s.Say(events.InstanceSubject(web), instance.RetiredV1{Phase: spec.PhaseLost})
	}
	for _, c := range []struct {
		name string
		tell func(*projectionstest.Story)
		held bool
	}{
		{"while it runs", func(*projectionstest.Story) {}, true},
		{"while it stops", stop, true},
		{"once it stopped", func(s *projectionstest.Story) { stop(s); s.Stopped(web, report.OutcomeRevoked) }, false},
		{"once it was rejected", func(s *projectionstest.Story) { s.Report(web, report.RejectedV1{}) }, false},
		{"while its node is lost", func(s *projectionstest.Story) { s.Say(events.NodeSubject("n1"), node.LostV1{}); stop(s) }, true},
		{"once its node left and it is retired", func(s *projectionstest.Story) { s.Say(events.NodeSubject("n1"), node.LeftV1{}); stop(s); retire(s) }, false},
		{"while its node left and came back with it", func(s *projectionstest.Story) {
			s.Say(events.NodeSubject("n1"), node.LeftV1{})
			s.Node("n1", big, nil)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := told()
			s.Place(web, "n1")
			s.Ready(web)
			c.tell(s)
			if held(s) != c.held {
				t.Errorf("held is %v, want %v", held(s), c.held)
			}
		})
	}
}

func TestAnOrphanOnANodeThatLeftIsReleasedWhenRevoked(t *testing.T) {
	s := told()
	s.Say(events.InstanceSubject(web), instance.StopRequestedV1{Cause: instance.CauseDeleted})
	s.Say(events.InstanceSubject(web), instance.RetiredV1{Phase: spec.PhaseSucceeded})
	s.Say(events.NodeSubject("n1"), node.LeftV1{})
	s.Place(web, "n1") // by a scheduler that had not seen any of that
	s.Say(events.LedgerSubject("n1"), ledger.RevokedV2{Instance: web, Generation: 1})
	if n, _ := s.View().Node("n1"); n.Instances != 0 {
		t.Errorf("n1 holds %d instances for ever", n.Instances)
	}
}

func TestASlotRemembersItsFailures(t *testing.T) {
	document := projectionstest.Document("web", 1)
	s := told()
	slot := func() *projections.Slot {
		x, _ := s.View().Slot("default", "web", 0)
		return x
	}
	for attempt := 1; attempt <= 3; attempt++ {
		k := projectionstest.Key("web", 0, attempt)
		s.Place(k, "n1")
		s.Ready(k)
		s.Pass(10 * time.Second)
		s.Stopped(k, report.OutcomeFailed)
		if slot().Failures != attempt || !slot().FailedAt.Equal(s.Now) {
			t.Fatalf("after failure %d the slot is %+v", attempt, slot())
		}
		request(s, 0, attempt+1, instance.CauseFailed, document)
	}
	k := projectionstest.Key("web", 0, 4)
	s.Place(k, "n1")
	s.Ready(k)
	s.Pass(2 * time.Minute) // long enough to forgive
	s.Stopped(k, report.OutcomeSucceeded)
	if slot().Failures != 1 {
		t.Errorf("after a long good time there are %d failures in a row, want 1", slot().Failures)
	}
	request(s, 0, 5, instance.CauseNodeLost, document)
	if slot().Failures != 0 || slot().Attempt != 5 {
		t.Errorf("a replacement that is not the instance's fault leaves %+v", slot())
	}
}

func TestOldAttemptsAreForgottenOnceRetired(t *testing.T) {
	document := projectionstest.Document("web", 1)
	s := told()
	s.Place(web, "n1") // stays on a lost node for long
	for attempt := 2; attempt <= 7; attempt++ {
		request(s, 0, attempt, instance.CauseFailed, document)
		if attempt > 2 {
			s.Say(events.InstanceSubject(projectionstest.Key("web", 0, attempt-1)), instance.RetiredV1{Phase: spec.PhaseFailed})
		}
	}
	if _, ok := s.View().Instance(projectionstest.Key("web", 0, 2)); ok {
		t.Error("attempt 2 is still remembered")
	}
	if i := get(t, s, web); i.Retired {
		t.Error("attempt 1 is not retired and was to be kept as it is")
	}
	s.Say(events.InstanceSubject(web), instance.RetiredV1{Phase: spec.PhaseLost})
	if _, ok := s.View().Instance(web); ok {
		t.Error("attempt 1 is still remembered after it was retired")
	}
}

func TestADeletedWorkloadLeavesItsNumbers(t *testing.T) {
	s := told()
	s.Say(events.WorkloadSubject("default", "web"), workload.DeleteRequestedV1{})
	s.Say(events.InstanceSubject(web), instance.StopRequestedV1{Cause: instance.CauseDeleted})
	s.Say(events.InstanceSubject(web), instance.RetiredV1{Phase: spec.PhaseSucceeded})
	s.Say(events.WorkloadSubject("default", "web"), workload.DeletedV1{})
	if _, ok := s.View().Instance(web); ok {
		t.Error("its instance is still there")
	}
	slot, ok := s.View().Slot("default", "web", 0)
	w, _ := s.View().Workload("default", "web")
	if !ok || slot.Attempt != 1 || !w.Deleted || w.Revision != 1 {
		t.Errorf("slot %+v, workload %+v: attempts and revisions have to go on climbing", slot, w)
	}
}

func TestANodeRemembersEarlierRegistrations(t *testing.T) {
	s := projectionstest.New()
	join := func(incarnation, key string) {
		s.Say(events.NodeSubject("n1"), node.JoinedV1{Incarnation: incarnation, Key: key, Capacity: big})
	}
	join("a", "k")
	join("b", "k")
	join("c", "k")
	join("a", "k")
	n, _ := s.View().Node("n1")
	for _, incarnation := range []string{"b", "c"} {
		if old, ok := n.Registered(incarnation); !ok || old.Capacity.CPU != big.CPU {
			t.Errorf("registration %s is forgotten", incarnation)
		}
	}
	if _, ok := n.Registered("a"); ok {
		t.Error("the present registration counts as an earlier one")
	}
	join("d", "other key")
	if n, _ := s.View().Node("n1"); len(n.Past) != 0 {
		t.Error("another owner inherits registrations")
	}
}
