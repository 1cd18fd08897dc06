package nodehealth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/nodehealth"
	"pgregory.net/rapid"
)

const second = time.Second

var timing = nodehealth.Timing{}.Default()

// court is a story whose nodes are judged: the part under test. The test plays nodes and ear.
type court struct {
	*projectionstest.Story
	hearing nodehealth.Hearing
	deaf    bool
}

func open(nodes ...string) *court {
	c := &court{Story: projectionstest.New(), hearing: nodehealth.Hearing{Pulses: map[string]nodehealth.Pulse{}, Since: projectionstest.Start}}
	for _, n := range nodes {
		c.Node(n, spec.Resources{CPU: 1000}, nil)
		c.hear(n, true)
	}
	return c
}

// hear lets a pulse of the node's present agent come in.
func (c *court) hear(name string, ready bool) {
	p := c.hearing.Pulses[name]
	p.Beat, p.Heard, p.Present = events.Heartbeat{Node: name, Incarnation: name + "-1", Ready: ready, Message: "disk"}, c.Now, c.Now
	c.hearing.Pulses[name] = p
}

// judge commits what is said now, and holds that nothing more is said right after.
func (c *court) judge(t interface {
	Helper()
	Fatalf(string, ...any)
}) string {
	t.Helper()
	if !c.deaf {
		c.hearing.Self = c.Now
	}
	for n := range c.View().Nodes() {
		p := c.hearing.Pulses[n.Name]
		switch {
		case n.Health != projections.Suspected:
			p.Suspected = time.Time{}
		case p.Suspected.IsZero():
			p.Suspected = c.Now
		}
		c.hearing.Pulses[n.Name] = p
	}
	plan := nodehealth.Judge(c.View(), c.hearing, timing, c.Now)
	if err := c.Commit(plan.Batch); err != nil {
		t.Fatalf("the plan does not commit: %v", err)
	}
	if again := nodehealth.Judge(c.View(), c.hearing, timing, c.Now); len(again.Batch) > 0 {
		t.Fatalf("judging again says %s", events.Line(again.Batch[0].Events[0]))
	}
	var said []string
	for _, w := range plan.Batch {
		for _, e := range w.Events {
			said = append(said, e.Subject.Node()+" "+e.Data.Line())
		}
	}
	return strings.Join(said, "; ")
}

func (c *court) expect(t *testing.T, want string) {
	t.Helper()
	if got := c.judge(t); got != want {
		t.Fatalf("at %s it said %q, want %q", c.Now.Sub(projectionstest.Start), got, want)
	}
}

func TestSilenceIsSuspectedBeforeItIsALoss(t *testing.T) {
	c := open("n1", "n2")
	for range 3 {
		c.Pass(400 * time.Millisecond)
		c.hear("n2", true)
		if c.Now.Sub(projectionstest.Start) < timing.SuspectAfter {
			c.expect(t, "")
		}
	}
	c.expect(t, "n1 suspected after 1.2s of silence")
	c.expect(t, "") // and notices that it stands in the log
	c.Pass(500 * time.Millisecond)
	c.hear("n2", true)
	c.expect(t, "")
	c.Pass(500 * time.Millisecond)
	c.hear("n2", true)
	c.expect(t, "n1 lost after 2.2s of silence")
	c.hear("n1", true)
	c.expect(t, "n1 returned after it was lost")
}

func TestALossFollowsFromItsSuspicion(t *testing.T) {
	c := open("n1")
	c.Pass(timing.SuspectAfter)
	c.expect(t, "n1 suspected after 1.2s of silence")
	c.judge(t) // notices that it stands in the log
	c.Pass(timing.LostAfter - timing.SuspectAfter)
	c.expect(t, "n1 lost after 2.2s of silence")
	all := c.Events[len(c.Events)-2:]
	if all[1].Causation != all[0].ID || all[1].Correlation != all[0].ID || all[0].Correlation != all[0].ID || all[0].Actor != "service:node-health" {
		t.Errorf("suspected %+v\nlost %+v", all[0], all[1])
	}
}

func TestALossNeedsASuspicionThatStoodInTheLog(t *testing.T) {
	c := open("n1", "n2")
	c.Pass(time.Minute) // the log took no writes for a minute
	c.hear("n2", true)
	c.expect(t, "n1 suspected after 1m0s of silence")
	c.expect(t, "")
	c.Pass(timing.LostAfter - timing.SuspectAfter - 1)
	c.hear("n2", true)
	c.expect(t, "")
	c.Pass(timing.LostAfter)
	c.hear("n2", true)
	if got := c.judge(t); !strings.HasPrefix(got, "n1 lost after") {
		t.Errorf("said %q", got)
	}
}

func TestReadinessFollowsThePulse(t *testing.T) {
	c := open("n1")
	c.hear("n1", false)
	c.expect(t, "n1 not ready: disk")
	c.hear("n1", true)
	c.expect(t, "n1 ready")
	// A pulse of another agent process says nothing about this one.
	p := c.hearing.Pulses["n1"]
	p.Beat.Incarnation, p.Beat.Ready = "other", false
	c.hearing.Pulses["n1"] = p
	c.expect(t, "")
	// Nor does an old one.
	c.hear("n1", false)
	c.Pass(timing.SuspectAfter)
	c.expect(t, "n1 suspected after 1.2s of silence")
	// Back and fit: both at once.
	c.hear("n1", false)
	c.expect(t, "n1 returned; n1 not ready: disk")
}

func TestWhoDoesNotHearItselfJudgesNobody(t *testing.T) {
	c := open("n1", "n2")
	c.deaf = true
	c.hearing.Self = c.Now
	c.Pass(timing.SuspectAfter + 1)
	for range 10 {
		c.expect(t, "")
		c.Pass(second)
	}
	plan := nodehealth.Judge(c.View(), c.hearing, timing, c.Now)
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0].Why, "does not hear itself") {
		t.Errorf("notes %v", plan.Notes)
	}
	// It hears again: everybody gets a whole period, as the ear has it.
	c.deaf, c.hearing.Since = false, c.Now
	c.Pass(timing.SuspectAfter - 1)
	c.expect(t, "")
	c.Pass(1)
	c.expect(t, "n1 suspected after 1.2s of silence; n2 suspected after 1.2s of silence")
}

func TestWhenAllFallSilentTheyAreLostLater(t *testing.T) {
	c := open("n1", "n2")
	c.Pass(timing.SuspectAfter)
	c.expect(t, "n1 suspected after 1.2s of silence; n2 suspected after 1.2s of silence")
	c.judge(t)
	for c.Now.Sub(projectionstest.Start) < timing.AllSilentAfter-second {
		c.Pass(second)
		c.expect(t, "")
	}
	c.Pass(timing.AllSilentAfter - c.Now.Sub(projectionstest.Start))
	c.expect(t, "n1 lost after 10s of silence; n2 lost after 10s of silence")
}

func TestTheOnlyNodeIsLostInTime(t *testing.T) {
	c := open("n1")
	c.Pass(timing.SuspectAfter)
	c.judge(t)
	c.judge(t)
	c.Pass(timing.LostAfter - timing.SuspectAfter)
	c.expect(t, "n1 lost after 2.2s of silence")
}

func TestALateRegistrationDoesNotDisplaceTheAgentThatBeats(t *testing.T) {
	c := open()
	join := func(incarnation string) {
		c.Say(events.NodeSubject("n1"), node.JoinedV1{Incarnation: incarnation, Key: "k", Capacity: spec.Resources{CPU: 1000}})
	}
	join("n1-1")
	join("old")
	c.hearing.Pulses["n1"] = nodehealth.Pulse{Noticed: c.Now}
	beat := func() {
		p := c.hearing.Pulses["n1"]
		p.Beat, p.Heard = events.Heartbeat{Node: "n1", Incarnation: "n1-1", Ready: true}, c.Now
		c.hearing.Pulses["n1"] = p
	}
	c.Pass(timing.SuspectAfter - 1)
	beat()
	c.expect(t, "") // the new process may only be slow
	c.Pass(1)
	beat()
	c.expect(t, "n1 joined with 1 cpu, 0 memory; n1 ready")
	if n, _ := c.View().Node("n1"); n.Incarnation != "n1-1" || !n.TakesWork() {
		t.Errorf("%+v", n)
	}
	// One that was heard has its place, whoever else beats.
	join("new")
	c.hearing.Pulses["n1"] = nodehealth.Pulse{Noticed: c.Now, Present: c.Now}
	c.Pass(timing.SuspectAfter)
	beat()
	c.expect(t, "")
}

func TestTimingIsValidated(t *testing.T) {
	if err := timing.Validate(); err != nil {
		t.Error(err)
	}
	for _, wrong := range []nodehealth.Timing{
		{Interval: -1}, {Interval: second}, {LostAfter: second}, {AllSilentAfter: second},
	} {
		if err := wrong.Default().Validate(); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// TestOnlyTheSilentAreLost: whatever beats come and go in whatever gaps, nobody is lost who was heard within the time, and
// right after every judgement there is nothing more to say.
func TestOnlyTheSilentAreLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"n1", "n2", "n3"}
		c := open(names...)
		heard := map[string]time.Time{}
		for _, n := range names {
			heard[n] = c.Now
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			c.Pass(time.Duration(rapid.IntRange(1, 900).Draw(t, "gap")) * time.Millisecond)
			for _, n := range names {
				if rapid.Bool().Draw(t, "beats") {
					c.hear(n, rapid.Bool().Draw(t, "ready"))
					heard[n] = c.Now
				}
			}
			from := len(c.Events)
			c.judge(t)
			for _, e := range c.Events[from:] {
				silent := c.Now.Sub(heard[e.Subject.Node()])
				switch e.Data.(type) {
				case node.SuspectedV1:
					if silent < timing.SuspectAfter {
						t.Fatalf("%s after %s", events.Line(e), silent)
					}
				case node.LostV1:
					if silent < timing.LostAfter {
						t.Fatalf("%s after %s", events.Line(e), silent)
					}
				case node.ReturnedV1, node.ReadyV1, node.NotReadyV1:
					if silent >= timing.SuspectAfter {
						t.Fatalf("%s after %s of silence", events.Line(e), silent)
					}
				}
			}
		}
		// In the end silence is found out.
		for range 40 {
			c.Pass(500 * time.Millisecond)
			c.judge(t)
		}
		for n := range c.View().Nodes() {
			if n.Health != projections.Lost {
				t.Fatalf("%s is %s after 20 s of silence", n.Name, n.Health)
			}
		}
	})
}
