package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/services/reconciler"
	"pgregory.net/rapid"
)

// work is a job that was applied.
func work(t testing.TB, j spec.JobSpec, alter ...func(*spec.Workload)) *theatre {
	s := open(t)
	for _, n := range []string{"n1", "n2"} {
		s.Node(n, large, nil)
	}
	s.applyJob(j, alter...)
	return s
}

func (s *theatre) applyJob(j spec.JobSpec, alter ...func(*spec.Workload)) {
	s.apply(0, append([]func(*spec.Workload){func(w *spec.Workload) {
		w.Spec.Type, w.Spec.Replicas, w.Spec.Job = spec.Job, nil, &j
	}}, alter...)...)
}

func (s *theatre) finish(slot, attempt int, outcome report.Outcome) {
	s.up(key(slot, attempt), "n1")
	s.Stopped(key(slot, attempt), outcome)
}

func TestAJobRunsFewAtATimeUntilAllHaveSucceeded(t *testing.T) {
	s := work(t, spec.JobSpec{Completions: 3, Parallelism: 2})
	if n := len(live(s.View())); n != 2 {
		t.Fatalf("%d run at once, want 2", n)
	}
	s.finish(0, 1, report.OutcomeSucceeded)
	s.expect("web-2-1 requested: slot 2, attempt 1, revision 1 (Applied)")
	s.finish(1, 1, report.OutcomeSucceeded)
	s.expect()
	s.finish(2, 1, report.OutcomeSucceeded)
	last := s.Events[len(s.Events)-1]
	all := s.expect("workload/default/web completed: 3 succeeded, 0 failed on the way")
	if all[0].Causation != last.ID {
		t.Errorf("caused by %s, want the last one's end", all[0].Causation)
	}
	s.Pass(24 * time.Hour)
	s.expect() // it stays
	for slot := range 3 {
		s.Revoke(key(slot, 1))
	}
	s.expect()
	s.ask(workload.DeleteV1{})
	if w, _ := s.View().Workload("default", "web"); !w.Deleted {
		t.Error("it does not go")
	}
}

func TestWhatFailsInAJobIsTriedAgainAfterABackoffSoOften(t *testing.T) {
	limit := 2
	s := work(t, spec.JobSpec{Completions: 2, Parallelism: 2, BackoffLimit: &limit})
	s.up(key(1, 1), "n2")
	for attempt := 1; attempt <= 2; attempt++ {
		s.finish(0, attempt, report.OutcomeFailed)
		plan := reconciler.Reconcile(s.View(), s.Now)
		if len(plan.Batch) > 0 || plan.WakeAt.IsZero() {
			t.Fatalf("plans %d events, wakes at %s", plan.Batch.Len(), plan.WakeAt)
		}
		s.Pass(plan.WakeAt.Sub(s.Now))
		s.expect("web-0-")
	}
	s.finish(0, 3, report.OutcomeFailed)
	s.expect("workload/default/web failed: BackoffLimitExceeded: 3 instances failed, and 2 may", "web-1-1 stop requested: Finished, the job is over: failed: BackoffLimitExceeded")
	s.Pass(time.Hour)
	s.expect()
	s.applyJob(spec.JobSpec{Completions: 2, Parallelism: 2, BackoffLimit: &limit}, func(w *spec.Workload) { w.Spec.Containers[0].Image.Tag = "v2" })
	if i, ok := s.View().Instance(key(0, 4)); !ok || i.Revision != 2 {
		t.Error("a cure does not run")
	}
}

func TestAJobHasUntilItsDeadline(t *testing.T) {
	s := work(t, spec.JobSpec{ActiveDeadline: spec.Duration(time.Minute)})
	s.up(key(0, 1), "n1")
	s.Pass(time.Minute - 1)
	s.expect()
	s.Pass(1)
	s.expect("failed: DeadlineExceeded: it was to be over after 1m0s", "web-0-1 stop requested: Finished")
}

func TestAJobThatIsOverGoesAfterItsTTL(t *testing.T) {
	s := work(t, spec.JobSpec{TTL: spec.Duration(time.Hour)})
	s.finish(0, 1, report.OutcomeSucceeded)
	s.expect("completed: 1 succeeded")
	s.Revoke(key(0, 1))
	s.Pass(time.Hour)
	s.expect("delete requested", "deleted", "web-0-1 retired: Succeeded")
}

func TestWhatAJobLosesIsNoFailure(t *testing.T) {
	none := 0
	s := work(t, spec.JobSpec{Completions: 2, Parallelism: 2, BackoffLimit: &none})
	s.up(key(0, 1), "n1")
	s.up(key(1, 1), "n2")
	s.Say(events.NodeSubject("n1"), node.LostV1{})
	s.expect("web-0-1 stop requested: NodeLost", "web-0-2 requested: slot 0, attempt 2, revision 1 (NodeLost)")
	s.drain("n2", 0)
	s.expect("web-1-1 stop requested: Drained, node n2 is drained")
	s.stopped(key(1, 1))
	s.expect("web-1-1 retired", "web-1-2 requested: slot 1, attempt 2, revision 1 (Drained)")
}

func TestIndexedInstancesKnowTheirSlot(t *testing.T) {
	s := work(t, spec.JobSpec{Completions: 3, Parallelism: 3, Indexed: true})
	for slot := range 3 {
		i, _ := s.View().Instance(key(slot, 1))
		if env := i.Spec.Containers[0].Env; len(env) != 1 || env[0].Name != spec.IndexVariable || env[0].Value != string(rune('0'+slot)) {
			t.Errorf("slot %d has %v", slot, env)
		}
	}
}

func TestAJobIsNeitherScaledNorRolledOutNorAService(t *testing.T) {
	s := work(t, spec.JobSpec{})
	service := open(t)
	service.apply(1)
	for _, c := range []struct {
		s   *theatre
		ask events.Payload
		why string
	}{
		{s, workload.ScaleV1{Replicas: 2}, "is a job, which cannot be scaled"},
		{s, workload.RolloutV1{Action: workload.ActionRestart}, "is a job, which cannot be rolled out"},
		{service, workload.ApplyV1{Workload: func() spec.Workload { w, _ := s.View().Workload("default", "web"); return w.Document }()}, "cannot become a job"},
	} {
		p := c.s.ask(c.ask)
		if out, _ := c.s.View().Outcome(p.Command.ID); out.Accepted || !strings.Contains(out.Message, c.why) {
			t.Errorf("%s: %+v", c.ask.Line(), out)
		}
	}
}

// TestAJobNeverRunsMoreThanItMayAndNothingAfterItsEnd plays any order of placements, ends, losses and drains.
func TestAJobNeverRunsMoreThanItMayAndNothingAfterItsEnd(t *testing.T) {
	whole := t
	rapid.Check(t, func(t *rapid.T) {
		s := open(whole)
		for _, n := range []string{"n1", "n2"} {
			s.Node(n, large, nil)
		}
		limit := rapid.IntRange(0, 3).Draw(t, "backoff limit")
		j := spec.JobSpec{Completions: rapid.IntRange(1, 5).Draw(t, "completions"), Parallelism: rapid.IntRange(1, 3).Draw(t, "parallelism"), BackoffLimit: &limit}
		s.applyJob(j)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			s.happen(t)
			s.plan()
			if again := reconciler.Reconcile(s.View(), s.Now); len(again.Batch) > 0 {
				t.Fatalf("right after a plan was applied the next is %s", events.Line(again.Batch[0].Events[0]))
			}
			w, ok := s.View().Workload("default", "web")
			if !ok || w.Document.Spec.Type != spec.Job {
				return // deleted and applied as something else
			}
			if n := len(live(s.View())); n > j.Parallelism || w.Finished != nil && n > 0 {
				t.Fatalf("%d run, %d may, finished %+v\n%s", n, j.Parallelism, w.Finished, lines(s.Events))
			}
			succeeded := 0
			for i := range s.View().InstancesOf("default", "web") {
				if i.End != nil && i.End.Outcome == report.OutcomeSucceeded {
					succeeded++
				}
			}
			if w.Finished != nil && w.Finished.Succeeded && succeeded < j.Completions {
				t.Fatalf("it is complete with %d of %d\n%s", succeeded, j.Completions, lines(s.Events))
			}
		}
	})
}
