package reconciler_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/reconciler"
)

// theatre is a story whose workloads are reconciled: the part under test. The test plays the others.
type theatre struct {
	*projectionstest.Story
	t        testing.TB
	commands int
	strategy *spec.Strategy // of what a property applies
}

func open(t testing.TB) *theatre { return &theatre{Story: projectionstest.New(), t: t} }

// ask has the reconciler decide on a command to web, and commits what it plans.
func (s *theatre) ask(data events.Payload) *decider.Pending {
	s.commands++
	p := &decider.Pending{Attempt: 1, Command: events.Command{
		ID: fmt.Sprintf("cmd-%d", s.commands), Type: data.WireType(), Subject: events.WorkloadCommand("default", "web"),
		Actor: "user:ada", Time: s.Now, Data: data,
	}}
	s.plan(*p)
	return p
}

// plan has the reconciler plan until there is no more, and commits it.
func (s *theatre) plan(commands ...decider.Pending) (all []events.Event) {
	s.t.Helper()
	for {
		plan := reconciler.Plan(decider.Turn{View: s.View(), Commands: commands, Now: s.Now, Limit: events.MaxBatch})
		if err := s.Commit(plan.Batch); err != nil {
			s.t.Fatalf("the plan does not commit: %v", err)
		}
		for _, w := range plan.Batch {
			all = append(all, w.Events...)
		}
		if !plan.More {
			return all
		}
	}
}

func (s *theatre) apply(replicas int, alter ...func(*spec.Workload)) *decider.Pending {
	return s.ask(workload.ApplyV1{Workload: projectionstest.Document("web", replicas, alter...)})
}

// lines renders events without what a test is not about.
func lines(all []events.Event) string {
	var b strings.Builder
	for _, e := range all {
		b.WriteString(events.Line(e) + "\n")
	}
	return b.String()
}

func TestDecide(t *testing.T) {
	one, none, nine := 1, 0, 9
	apply := func(alter ...func(*spec.Workload)) events.Payload {
		return workload.ApplyV1{Workload: projectionstest.Document("web", 2, alter...)}
	}
	replicas := func(n int) func(*spec.Workload) { return func(w *spec.Workload) { w.Spec.Replicas = &n } }
	labels := func(w *spec.Workload) { w.Metadata.Labels = map[string]string{"team": "a"} }
	notes := func(w *spec.Workload) { w.Metadata.Annotations = map[string]string{"note": "b"} }
	at := func(revision int, p events.Payload) events.Payload {
		a := p.(workload.ApplyV1)
		a.IfRevision = &revision
		return a
	}
	// after gives the condition that the workload's nth event is its last; the sequence is filled in when it is asked.
	after := func(n int, p events.Payload) events.Payload {
		only := workload.Condition{IfSequence: uint64(n)}
		switch data := p.(type) {
		case workload.ApplyV1:
			data.Condition = only
			return data
		case workload.ScaleV1:
			data.Condition = only
			return data
		case workload.DeleteV1:
			data.Condition = only
			return data
		}
		panic("no condition")
	}
	for _, c := range []struct {
		name   string
		before []events.Payload
		ask    events.Payload
		want   string // lines of workload events, or the code of a rejection
		why    string // part of its message
	}{
		{"create", nil, apply(), "applied: revision 1, 2 × docker.io/library/web:v1", ""},
		{"the same again", []events.Payload{apply()}, apply(), "", ""},
		{"only replicas differ", []events.Payload{apply()}, apply(replicas(5)), "scaled from 2 to 5", ""},
		{"replicas left at what was scaled", []events.Payload{apply(), workload.ScaleV1{Replicas: 5}}, apply(), "scaled from 5 to 2", ""},
		{"only labels differ", []events.Payload{apply()}, apply(labels), "applied: revision 1, 2 × docker.io/library/web:v1", ""},
		{"only annotations differ", []events.Payload{apply()}, apply(notes), "applied: revision 1, 2 × docker.io/library/web:v1", ""},
		{"another image", []events.Payload{apply()}, apply(projectionstest.Tag("v2")), "applied: revision 2, 2 × docker.io/library/web:v2", ""},
		{"if it is at that revision", []events.Payload{apply()}, at(one, apply(projectionstest.Tag("v2"))), "applied: revision 2, 2 × docker.io/library/web:v2", ""},
		{"if it is at another revision", []events.Payload{apply()}, at(nine, apply(projectionstest.Tag("v2"))), "Conflict", "is at revision 1, not 9"},
		{"if it does not exist", nil, at(none, apply()), "applied: revision 1, 2 × docker.io/library/web:v1", ""},
		{"if it does not exist, and it does", []events.Payload{apply()}, at(none, apply()), "Conflict", "is at revision 1, not 0"},
		{"while it goes", []events.Payload{apply(), workload.DeleteV1{}}, apply(), "Conflict", "is being deleted; wait"},
		{"scale", []events.Payload{apply()}, workload.ScaleV1{Replicas: 3}, "scaled from 2 to 3", ""},
		{"scale to what it is", []events.Payload{apply()}, workload.ScaleV1{Replicas: 2}, "", ""},
		{"scale below nothing", []events.Payload{apply()}, workload.ScaleV1{Replicas: -1}, "Invalid", "want 0 to 100000"},
		{"scale what is not there", nil, workload.ScaleV1{Replicas: 3}, "NotFound", "there is no workload default/web"},
		{"scale what goes", []events.Payload{apply(), workload.DeleteV1{}}, workload.ScaleV1{Replicas: 3}, "Conflict", "is being deleted"},
		{"apply if nothing changed it since", []events.Payload{apply()}, after(1, apply(replicas(5))), "scaled from 2 to 5", ""},
		{"apply what was scaled meanwhile", []events.Payload{apply(), workload.ScaleV1{Replicas: 3}}, after(1, apply(replicas(5))), "Conflict", "was last changed by event"},
		{"scale if nothing changed it since", []events.Payload{apply()}, after(1, workload.ScaleV1{Replicas: 5}), "scaled from 2 to 5", ""},
		{"scale what was scaled meanwhile", []events.Payload{apply(), workload.ScaleV1{Replicas: 3}}, after(1, workload.ScaleV1{Replicas: 5}), "Conflict", "was last changed by event"},
		{"delete if nothing changed it since", []events.Payload{apply()}, after(1, workload.DeleteV1{}), "delete requested", ""},
		{"delete what was scaled meanwhile", []events.Payload{apply(), workload.ScaleV1{Replicas: 3}}, after(1, workload.DeleteV1{}), "Conflict", "was last changed by event"},
		{"apply what is not there as if it were", nil, after(1, apply()), "Conflict", "was last changed by event 0"},
		{"delete", []events.Payload{apply()}, workload.DeleteV1{}, "delete requested", ""},
		{"delete again", []events.Payload{apply(), workload.DeleteV1{}}, workload.DeleteV1{}, "", ""},
		{"delete what is not there", nil, workload.DeleteV1{}, "NotFound", "there is no workload default/web"},
		{"a document of another name", nil, workload.ApplyV1{Workload: projectionstest.Document("api", 1)}, "Invalid", "is about default/web and its document about default/api"},
		{"a document that is wrong", nil, apply(func(w *spec.Workload) { w.Spec.Containers = nil }), "Invalid", "spec.containers"},
		{"a type that is unknown", nil, events.Unknown{Type: "run.rutter.workload.paint.v1", Raw: json.RawMessage(`{}`)}, "Invalid", `"run.rutter.workload.paint.v1" is not known`},
		{"data that cannot be read", nil, events.Malformed{Type: "run.rutter.workload.scale.v1", Raw: []byte("{"), Problem: "unexpected end"}, "Invalid", "cannot be read: unexpected end"},
		{"another service's", nil, workload.AppliedV1{}, "Invalid", "does not handle run.rutter.workload.applied.v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.Node("n1", spec.Resources{CPU: 4000, Memory: 8 << 30}, nil)
			for n, data := range c.before {
				s.ask(data)
				if n == 0 {
					// One that runs, so that a workload that is to go does not go at once.
					s.Place(projectionstest.Key("web", 0, 1), "n1")
				}
			}
			asked := len(s.Events)
			p := s.ask(filled(s.Events, c.ask))
			out, ok := s.View().Outcome(p.Command.ID)
			if !ok {
				t.Fatal("the command has no outcome")
			}
			var said []string
			for _, e := range s.Events[asked:] {
				if e.Subject.Aggregate() == events.AggregateWorkload && !progress(e) {
					said = append(said, e.Data.Line())
					if e.Causation != events.OutcomeID(p.Command.ID) || e.Actor != "user:ada" || e.Correlation != p.Command.ID {
						t.Errorf("%s: causation %q, actor %q, correlation %q", events.Line(e), e.Causation, e.Actor, e.Correlation)
					}
				}
			}
			got := strings.Join(said, "; ")
			if !out.Accepted {
				got = string(out.Code)
			}
			if got != c.want || !strings.Contains(out.Message, c.why) {
				t.Errorf("%s (%s), want %s (%s)", got, out.Message, c.want, c.why)
			}
			if out.Accepted && len(out.Events) != len(said) {
				t.Errorf("the outcome names %d events, the command led to %d", len(out.Events), len(said))
			}
		})
	}
}

// filled puts the sequence of the workload's nth event where a condition names it by n.
func filled(log []events.Event, p events.Payload) events.Payload {
	sequence := func(n uint64) uint64 {
		for _, e := range log {
			if e.Subject.Aggregate() != events.AggregateWorkload {
				continue
			}
			if n--; n == 0 {
				return e.Sequence
			}
		}
		return 1 << 40
	}
	switch data := p.(type) {
	case workload.ApplyV1:
		if data.IfSequence > 0 {
			data.IfSequence = sequence(data.IfSequence)
		}
		return data
	case workload.ScaleV1:
		if data.IfSequence > 0 {
			data.IfSequence = sequence(data.IfSequence)
		}
		return data
	case workload.DeleteV1:
		if data.IfSequence > 0 {
			data.IfSequence = sequence(data.IfSequence)
		}
		return data
	}
	return p
}

func TestOfTwoWhoSawTheSameInOneTurnOneWins(t *testing.T) {
	s := open(t)
	s.apply(1)
	w, _ := s.View().Workload("default", "web")
	var both []decider.Pending
	for n, id := range []string{"a", "b"} {
		both = append(both, decider.Pending{Attempt: 1, Command: events.Command{
			ID: id, Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada",
			Data: workload.ScaleV1{Replicas: 2 + n, Condition: workload.Condition{IfSequence: w.Changed.Sequence}},
		}})
	}
	s.plan(both...)
	a, _ := s.View().Outcome("a")
	b, _ := s.View().Outcome("b")
	if !a.Accepted || b.Accepted || b.Code != command.CodeConflict {
		t.Errorf("a: %+v, b: %+v", a, b)
	}
	if w, _ := s.View().Workload("default", "web"); w.Replicas() != 2 {
		t.Errorf("%d replicas", w.Replicas())
	}
}

func TestARevisionNeverComesTwice(t *testing.T) {
	s := open(t)
	s.apply(1)
	s.ask(workload.DeleteV1{})
	if w, _ := s.View().Workload("default", "web"); !w.Deleted {
		t.Fatal("what never ran is not gone at once")
	}
	s.apply(1)
	w, _ := s.View().Workload("default", "web")
	if w.Deleted || w.Revision != 2 {
		t.Errorf("after it was deleted and applied again it is at revision %d, deleted %v", w.Revision, w.Deleted)
	}
	if _, ok := s.View().Instance(projectionstest.Key("web", 0, 2)); !ok {
		t.Error("attempts do not go on from where they were")
	}
}

func TestACommandIsDecidedOnce(t *testing.T) {
	s := open(t)
	scale := s.apply(1)
	before := len(s.Events)
	if all := s.plan(*scale, *scale); len(all) > 0 || len(s.Events) != before {
		t.Errorf("delivered again it led to\n%s", lines(all))
	}
	// Twice in one turn, and one that builds on it.
	a := decider.Pending{Attempt: 1, Command: events.Command{
		ID: "twice", Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Data: workload.ScaleV1{Replicas: 4},
	}}
	b := a
	b.Command.ID, b.Command.Data = "then", workload.ScaleV1{Replicas: 2}
	all := s.plan(a, a, b)
	if got := strings.Count(lines(all), "scaled from 1 to 4") + 10*strings.Count(lines(all), "scaled from 4 to 2"); got != 11 {
		t.Errorf("led to\n%s", lines(all))
	}
	// Only what the last of them leaves is carried out.
	if n := strings.Count(lines(all), "requested: slot"); n != 1 {
		t.Errorf("%d instances requested, want 1:\n%s", n, lines(all))
	}
}

func TestADeadLetterIsAnswered(t *testing.T) {
	s := open(t)
	p := decider.Pending{Attempt: events.MaxDeliveries + 1, Command: events.Command{
		ID: "late", Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Data: workload.DeleteV1{},
	}}
	s.plan(p)
	if out, ok := s.View().Outcome("late"); !ok || out.Code != command.CodeDeadLetter {
		t.Errorf("outcome %+v", out)
	}
}
