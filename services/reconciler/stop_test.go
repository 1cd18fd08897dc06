package reconciler_test

import (
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/internal/decider"
)

func (s *theatre) stop(name, reason string) decider.Pending {
	s.commands++
	p := decider.Pending{Attempt: 1, Command: events.Command{
		ID: "stop-" + name + reason, Type: instance.StopV1{}.WireType(), Subject: events.WorkloadCommand("default", "web"),
		Actor: "user:ada", Reason: reason, Time: s.Now, Data: instance.StopV1{Instance: name},
	}}
	s.plan(p)
	return p
}

func TestAnInstanceThatIsStoppedByHandIsReplaced(t *testing.T) {
	s := running(t, 2)
	p := s.stop("web-0-1", "stuck")
	i, _ := s.View().Instance(key(0, 1))
	if i.Stop == nil || i.Stop.Cause != instance.CauseByHand || i.Stop.Message != "revoked by hand by user:ada: stuck" || i.Stop.Mark.Actor != "user:ada" {
		t.Fatalf("%+v", i.Stop)
	}
	if out, _ := s.View().Outcome(p.Command.ID); !out.Accepted || len(out.Events) != 1 {
		t.Errorf("%+v", out)
	}
	s.expect() // it stops first
	again := s.stop("web-0-1", "still stuck")
	if out, _ := s.View().Outcome(again.Command.ID); !out.Accepted || len(out.Events) != 0 {
		t.Errorf("%+v", out)
	}
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired: Succeeded, ByHand", "web-0-2 requested: slot 0, attempt 2, revision 1 (ByHand), replaces web-0-1")
	for _, name := range []string{"web-0-1", "web-7-1", "api-0-1"} {
		gone := s.stop(name, "")
		if out, _ := s.View().Outcome(gone.Command.ID); out.Code != command.CodeNotFound {
			t.Errorf("stop of %s: %+v", name, out)
		}
	}
}

func TestAStopByHandDoesNotWaitForABackoff(t *testing.T) {
	s := running(t, 1)
	s.Stopped(key(0, 1), report.OutcomeFailed)
	s.expect()
	s.stop("web-0-1", "try now")
	if i, ok := s.View().Instance(key(0, 2)); !ok || i.Cause != instance.CauseByHand {
		t.Errorf("it is not followed at once: %+v", i)
	}
}
