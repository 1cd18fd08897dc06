package instance

import (
	"testing"
	"time"

	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func one(policy spec.RestartPolicy, c Container) State {
	c.Name = "main"
	return State{
		Spec:   spec.InstanceSpec{RestartPolicy: policy, Containers: []spec.Container{{Name: "main"}}},
		Pulled: true, Sandbox: true, Containers: []Container{c},
	}
}

func TestStep(t *testing.T) {
	exited := Container{Run: 1, Phase: RunExited, Code: 1, ExitedAt: now.Add(-100 * time.Millisecond), Failures: 3}
	with := func(s State, change func(*State)) State { change(&s); return s }
	tests := map[string]struct {
		state State
		want  Action
	}{
		"images come first": {
			with(one("", Container{}), func(s *State) { s.Pulled, s.Sandbox = false, false }), Action{Verb: Pull},
		},
		"a failed pull waits": {
			with(one("", Container{}), func(s *State) { s.Pulled, s.RetryAt = false, now.Add(time.Second) }),
			Action{Verb: Wait, Until: now.Add(time.Second)},
		},
		"then the sandbox": {
			with(one("", Container{}), func(s *State) { s.Sandbox = false }), Action{Verb: CreateSandbox},
		},
		"then the first run": {one("", Container{}), Action{Verb: Start, Container: "main", Run: 1}},
		"a failed start waits": {
			with(one("", Container{}), func(s *State) { s.RetryAt = now.Add(time.Second) }),
			Action{Verb: Wait, Until: now.Add(time.Second)},
		},
		"what runs is left alone": {one("", Container{Run: 1, Phase: RunRunning}), Action{Verb: Wait}},
		"a run that failed again and again waits, and says so": {
			one("", exited), Action{Verb: Announce, Container: "main", Run: 2, Until: exited.ExitedAt.Add(2 * time.Second)},
		},
		"said once, it only waits": {
			one("", with2(exited, func(c *Container) { c.Announced = true })),
			Action{Verb: Wait, Until: exited.ExitedAt.Add(2 * time.Second)},
		},
		"the first failure is run again at once": {
			one("", with2(exited, func(c *Container) { c.Failures = 1 })), Action{Verb: Start, Container: "main", Run: 2},
		},
		"never means never": {
			one(spec.RestartNever, exited), Action{Verb: Remove, Outcome: report.OutcomeFailed},
		},
		"success is no failure": {
			one(spec.RestartOnFailure, with2(exited, func(c *Container) { c.Code = 0 })),
			Action{Verb: Remove, Outcome: report.OutcomeSucceeded},
		},
		"on failure it runs again": {
			one(spec.RestartOnFailure, with2(exited, func(c *Container) { c.Failures = 1 })),
			Action{Verb: Start, Container: "main", Run: 2},
		},
		"revoked, what runs is stopped": {
			with(one("", Container{Run: 1, Phase: RunRunning}), func(s *State) { s.Revoked = true }),
			Action{Verb: Stop, Outcome: report.OutcomeRevoked},
		},
		"revoked before it began": {
			with(one("", Container{}), func(s *State) { s.Revoked, s.Sandbox, s.Pulled = true, false, false }),
			Action{Verb: Finish, Outcome: report.OutcomeRevoked},
		},
		"revoked, what ended is removed": {
			with(one("", exited), func(s *State) { s.Revoked = true }), Action{Verb: Remove, Outcome: report.OutcomeRevoked},
		},
		"rejected, the sandbox goes": {
			with(one("", Container{}), func(s *State) { s.Rejected = &report.RejectedV1{} }), Action{Verb: Remove},
		},
		"what runs needs no image": {
			with(one("", Container{Run: 1, Phase: RunRunning}), func(s *State) { s.Pulled = false }), Action{Verb: Wait},
		},
		"a broken sandbox goes before its container runs again": {
			with(one("", exited), func(s *State) { s.Broken = true }), Action{Verb: Remove},
		},
		"what runs in a broken sandbox is stopped first": {
			with(one("", Container{Run: 1, Phase: RunRunning}), func(s *State) { s.Broken = true }), Action{Verb: Stop},
		},
		"revoked, a broken sandbox goes as any other": {
			with(one("", exited), func(s *State) { s.Revoked, s.Broken = true, true }), Action{Verb: Remove, Outcome: report.OutcomeRevoked},
		},
		"ended is over": {
			with(one("", Container{}), func(s *State) { s.Ended = true }), Action{Verb: Done},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Step(test.state, now)
			got.Message = ""
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func with2(c Container, change func(*Container)) Container { change(&c); return c }

// world is a runtime that always does what it is told.
type world struct {
	s     State
	now   time.Time
	steps int
}

// carryOut applies an action the way a worker does.
func (w *world) carryOut(a Action) {
	at := func(name string) *Container {
		for i := range w.s.Containers {
			if w.s.Containers[i].Name == name {
				return &w.s.Containers[i]
			}
		}
		return nil
	}
	switch a.Verb {
	case Wait:
		if a.Until.After(w.now) {
			w.now = a.Until
		}
	case Pull:
		w.s.Pulled = true
	case CreateSandbox:
		w.s.Sandbox = true
	case Start:
		c := at(a.Container)
		*c = Container{Name: c.Name, Run: a.Run, Phase: RunRunning, StartedAt: w.now, Failures: c.Failures}
	case Announce:
		at(a.Container).Announced = true
	case Stop:
		for i := range w.s.Containers {
			if c := &w.s.Containers[i]; c.Phase == RunRunning {
				c.Phase, c.Code, c.ExitedAt = RunExited, 143, w.now
			}
		}
	case Remove:
		for i := range w.s.Containers {
			if c := &w.s.Containers[i]; c.Phase == RunExited {
				c.Phase = RunRemoved
			}
		}
		w.s.Sandbox, w.s.Broken = false, false
	case Finish:
		w.s.Ended = true
	}
}

func drawState(t *rapid.T) State {
	n := rapid.IntRange(1, 3).Draw(t, "containers")
	s := State{
		Revoked: rapid.Bool().Draw(t, "revoked"), CutOff: rapid.Bool().Draw(t, "cutOff"),
		Pulled: rapid.Bool().Draw(t, "pulled"), Sandbox: rapid.Bool().Draw(t, "sandbox"),
		Broken:  rapid.Bool().Draw(t, "broken"),
		RetryAt: now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "retry")) * time.Second),
	}
	s.Spec.RestartPolicy = rapid.SampledFrom([]spec.RestartPolicy{spec.RestartAlways, spec.RestartOnFailure, spec.RestartNever}).Draw(t, "policy")
	for i := range n {
		s.Containers = append(s.Containers, Container{
			Name: string(rune('a' + i)), Run: rapid.IntRange(0, 4).Draw(t, "run"),
			Phase: rapid.SampledFrom([]RunPhase{RunNone, RunRunning, RunExited, RunRemoved}).Draw(t, "phase"),
			Code:  rapid.IntRange(0, 2).Draw(t, "code"), Failures: rapid.IntRange(0, 6).Draw(t, "failures"),
			ExitedAt: now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "ago")) * time.Second),
		})
	}
	return s
}

// TestEveryStateLeadsToRest: carrying the steps out leads from every state to waiting for the world, or to the end, and a
// revoked instance always to the end with nothing left.
func TestEveryStateLeadsToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{s: drawState(t), now: now}
		for ; w.steps < 100; w.steps++ {
			a := Step(w.s, w.now)
			if a.Verb == Done || (a.Verb == Wait && a.Until.IsZero()) {
				break
			}
			w.carryOut(a)
		}
		if w.steps == 100 {
			t.Fatalf("no rest after 100 steps: %+v", w.s)
		}
		if w.s.Revoked && (!w.s.Ended || w.s.Sandbox) {
			t.Fatalf("revoked, and something is left: %+v", w.s)
		}
		for _, c := range w.s.Containers {
			if w.s.Ended && c.Phase == RunRunning {
				t.Fatalf("ended, and %s runs", c.Name)
			}
		}
	})
}

// TestRunsOnlyClimb: no step ever starts a run that was there before.
func TestRunsOnlyClimb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{s: drawState(t), now: now}
		for range 50 {
			a := Step(w.s, w.now)
			if a.Verb == Start {
				for _, c := range w.s.Containers {
					if c.Name == a.Container && (a.Run != c.Run+1 || c.Phase == RunRunning) {
						t.Fatalf("%s: run %d after %d, phase %d", c.Name, a.Run, c.Run, c.Phase)
					}
				}
			}
			w.carryOut(a)
		}
	})
}

func TestBackoffClimbsToItsCap(t *testing.T) {
	if Backoff(0) != 0 || Backoff(1) != 0 || Backoff(2) != time.Second || Backoff(3) != 2*time.Second {
		t.Errorf("Backoff starts %v %v %v %v", Backoff(0), Backoff(1), Backoff(2), Backoff(3))
	}
	for n := range 100 {
		if Backoff(n+1) < Backoff(n) || Backoff(n) > maxBackoff {
			t.Errorf("Backoff(%d) = %v, Backoff(%d) = %v", n, Backoff(n), n+1, Backoff(n+1))
		}
	}
	if Failures(5, SteadyRun) != 1 || Failures(5, 0) != 6 {
		t.Error("a run that lasted starts the count anew, a short one goes on")
	}
}
