package instance

import (
	"cmp"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// State is one instance as its worker knows it.
type State struct {
	Spec spec.InstanceSpec

	// What is wished.
	Revoked bool          // the ledger took it back
	Grace   time.Duration // from stop signal to kill
	CutOff  bool          // the node is cut off for longer than its lease and the instance is to stop then

	// What is observed.
	Pulled     bool
	Sandbox    bool
	Broken     bool        // something of the sandbox is missing, such as after a restart of the machine
	Containers []Container // in the order of the spec

	// What went before.
	Rejected   *report.RejectedV1 // set once the node gives the instance up
	Hindrances int                // failed tries in a row at pulling or creating
	RetryAt    time.Time          // not before this the next such try
	Ended      bool               // its end is reported
}

// Container is one container of the instance: its newest run.
type Container struct {
	Name      string
	Run       int // 0: none yet
	Phase     RunPhase
	Code      int
	StartedAt time.Time
	ExitedAt  time.Time
	Failures  int  // runs in a row that ended soon
	Announced bool // that the next run waits

	// What its probes have come to.
	Up     bool   // its startup probe has passed
	Ready  bool   // its readiness probe passes
	Killed string // why the agent ended the run, where it did
}

// RunPhase is where a run stands. It only climbs; the next run begins anew.
type RunPhase int

// The phases of a run.
const (
	RunNone RunPhase = iota
	RunRunning
	RunExited
	RunRemoved // ended, and nothing of it is left but its logs
)

// Verb is what to do next.
type Verb string

// The verbs.
const (
	Wait          Verb = "wait" // for Until, an exit or another wish
	Pull          Verb = "pull"
	CreateSandbox Verb = "create sandbox"
	Start         Verb = "start"    // run Run of Container
	Announce      Verb = "announce" // that run Run of Container waits until Until
	Stop          Verb = "stop"     // every running container
	Remove        Verb = "remove"   // every container that ended, and then the sandbox
	Finish        Verb = "finish"   // report the end
	Done          Verb = "done"     // nothing is left to do, ever
)

// Action is the next step.
type Action struct {
	Verb      Verb
	Container string
	Run       int
	Until     time.Time // zero: no timer
	Outcome   report.Outcome
	Message   string
}

// Step decides the one next step from what is observed to what is wished. Carrying it out and asking again leads to Wait or Done
// from every state, so an agent that was killed anywhere goes on from what it finds.
func Step(s State, now time.Time) Action {
	switch {
	case s.Ended:
		return Action{Verb: Done}
	case s.Rejected != nil:
		return wind(s, "", "")
	case s.Revoked:
		return wind(s, report.OutcomeRevoked, "")
	case s.CutOff:
		return wind(s, report.OutcomeCutOff, "the node was cut off for longer than its lease")
	}
	if outcome, message, over := verdict(s); over {
		return wind(s, outcome, message)
	}
	switch {
	case s.Broken:
		return clear(s)
	case !slices.ContainsFunc(s.Containers, func(c Container) bool { return c.Phase != RunRunning }):
		return Action{Verb: Wait} // an agent that has just started needs no image of what runs
	case (!s.Pulled || !s.Sandbox) && s.RetryAt.After(now):
		return Action{Verb: Wait, Until: s.RetryAt}
	case !s.Pulled:
		return Action{Verb: Pull}
	case !s.Sandbox:
		return Action{Verb: CreateSandbox}
	}
	wait := Action{Verb: Wait}
	for _, c := range s.Containers {
		next, due := nextRun(s, c, now)
		switch {
		case next.Verb == "":
		case due:
			return next
		case wait.Until.IsZero() || next.Until.Before(wait.Until):
			wait.Until = next.Until
		}
	}
	return wait
}

// nextRun is what a container needs: nothing while it runs, its next run once its backoff is over.
func nextRun(s State, c Container, now time.Time) (next Action, due bool) {
	switch c.Phase {
	case RunRunning:
		return Action{}, false
	case RunNone:
		next = Action{Verb: Start, Container: c.Name, Run: c.Run + 1}
		if s.RetryAt.After(now) {
			next.Until = s.RetryAt
			return next, false
		}
		return next, true
	}
	at := c.ExitedAt.Add(Backoff(c.Failures))
	if s.RetryAt.After(at) {
		at = s.RetryAt
	}
	if !at.After(now) {
		return Action{Verb: Start, Container: c.Name, Run: c.Run + 1}, true
	}
	if !c.Announced {
		return Action{Verb: Announce, Container: c.Name, Run: c.Run + 1, Until: at}, true
	}
	return Action{Verb: Wait, Until: at}, false
}

// verdict tells whether the instance has come to its end by itself: one container that failed and is not to run again ends
// it for all of them; otherwise it ends once all have succeeded.
func verdict(s State) (outcome report.Outcome, message string, over bool) {
	succeeded := 0
	for _, c := range s.Containers {
		if c.Phase < RunExited || Restarts(s.Spec.RestartPolicy, c.Code) {
			continue
		}
		if c.Code != 0 {
			return report.OutcomeFailed, "container " + c.Name + " failed and is not to run again", true
		}
		succeeded++
	}
	return report.OutcomeSucceeded, "", succeeded == len(s.Containers) && succeeded > 0
}

// clear takes a broken sandbox away, and with it what runs in it: a container cannot be moved into another.
func clear(s State) Action {
	for _, c := range s.Containers {
		if c.Phase == RunRunning {
			return Action{Verb: Stop}
		}
	}
	return Action{Verb: Remove}
}

// wind stops and removes what there is, then finishes.
func wind(s State, outcome report.Outcome, message string) Action {
	left := s.Sandbox
	for _, c := range s.Containers {
		if c.Phase == RunRunning {
			return Action{Verb: Stop, Outcome: outcome}
		}
		left = left || c.Phase == RunExited
	}
	if left {
		return Action{Verb: Remove, Outcome: outcome}
	}
	return Action{Verb: Finish, Outcome: outcome, Message: message}
}

// Restarts reports whether a run that ended with code is followed by another.
func Restarts(policy spec.RestartPolicy, code int) bool {
	switch cmp.Or(policy, spec.RestartAlways) {
	case spec.RestartNever:
		return false
	case spec.RestartOnFailure:
		return code != 0
	default:
		return true
	}
}

const (
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
	// SteadyRun is how long a run must have lasted for the failures before it to be forgiven.
	SteadyRun = time.Minute
)

// Backoff is how long to wait after so many failures in a row: nothing after the first, then 1 s, doubled up to 5 min.
func Backoff(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	return min(maxBackoff, firstBackoff<<min(failures-2, 20))
}

// Failures counts a run that ended: runs that lasted start the count anew.
func Failures(before int, ran time.Duration) int {
	if ran >= SteadyRun {
		return 1
	}
	return before + 1
}
