package projections

import (
	"fmt"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// phaseOf derives an instance's phase and its reason from what is wished and observed. The order of the questions is
// the order in which people need the answer: an end beats a loss, a loss beats a wish to stop, that beats what still runs.
func phaseOf(i *Instance) (spec.Phase, string) {
	switch {
	case i.End != nil:
		return endPhase(i)
	case i.NodeLost:
		return spec.PhaseLost, "node " + i.Node + " is lost"
	case i.Stop != nil:
		return spec.PhaseTerminating, string(i.Stop.Cause)
	case !i.Placed():
		if i.Unplaceable != nil {
			return spec.PhasePending, i.Unplaceable.Line()
		}
		return spec.PhasePending, "waits for the scheduler"
	case i.Delayed != nil:
		return spec.PhasePulling, i.Delayed.Reason + ": " + i.Delayed.Message
	}
	running := 0
	for _, c := range i.Containers {
		switch {
		case c.Running && c.Message != "":
			return spec.PhaseUnhealthy, c.Name + ": " + c.Message
		case c.Running:
			running++
		case c.Exit != nil:
			if !c.NotBefore.IsZero() {
				return spec.PhaseCrashLoopBackOff, fmt.Sprintf("%s, next run %d at %s", exitReason(c), c.Run+1, c.NotBefore.UTC().Format(time.TimeOnly))
			}
			return spec.PhaseStarting, exitReason(c)
		}
	}
	switch {
	case running == len(i.Containers) && i.ReadyContainers() == running:
		return spec.PhaseReady, "all containers are ready"
	case running == len(i.Containers):
		return spec.PhaseRunning, fmt.Sprintf("%d of %d containers are ready", i.ReadyContainers(), running)
	case i.Created || running > 0:
		return spec.PhaseStarting, fmt.Sprintf("%d of %d containers run", running, len(i.Containers))
	case i.Pulling:
		return spec.PhasePulling, "pulls its images"
	default:
		return spec.PhasePlaced, "waits for node " + i.Node
	}
}

func endPhase(i *Instance) (spec.Phase, string) {
	if i.End.Rejected != "" {
		return spec.PhaseFailed, i.End.Rejected + ": " + i.End.Message
	}
	if i.End.Outcome == report.OutcomeFailed {
		var ends []string
		for _, c := range i.Containers {
			if c.Exit != nil {
				ends = append(ends, exitReason(c))
			}
		}
		if len(ends) > 0 {
			return spec.PhaseFailed, strings.Join(ends, "; ")
		}
		return spec.PhaseFailed, i.End.Message
	}
	reason := string(i.End.Outcome)
	if i.Stop != nil {
		reason = string(i.Stop.Cause)
	}
	return spec.PhaseSucceeded, reason
}

func exitReason(c Container) string {
	switch {
	case c.Exit.Reason == report.ReasonProbeFailed:
		return c.Name + " was ended because a probe failed: " + c.Exit.Message
	case c.Exit.OOM:
		return c.Name + " was killed: out of memory"
	case c.Exit.Signal != 0:
		return fmt.Sprintf("%s was ended by signal %d", c.Name, c.Exit.Signal)
	default:
		return fmt.Sprintf("%s ended with code %d", c.Name, c.Exit.Code)
	}
}
