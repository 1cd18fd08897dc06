package workload

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// RolloutAction is what one can ask of a roll-out.
type RolloutAction string

// What one can ask of a roll-out.
const (
	ActionPause   RolloutAction = "pause"   // touch no further slots
	ActionResume  RolloutAction = "resume"  // go on
	ActionPromote RolloutAction = "promote" // the canary is good: the others follow
	ActionAbort   RolloutAction = "abort"   // back to where it began
	ActionUndo    RolloutAction = "undo"    // back to an earlier revision
	ActionRestart RolloutAction = "restart" // replace every instance by one that runs the same
)

// RolloutActions lists the actions.
var RolloutActions = []RolloutAction{ActionPause, ActionResume, ActionPromote, ActionAbort, ActionUndo, ActionRestart}

// RolloutV1 asks something of the workload's roll-out.
type RolloutV1 struct {
	Action   RolloutAction `json:"action"`
	Revision int           `json:"revision,omitempty"` // undo only: the revision to go back to; 0: the last one that was whole
}

// RestartedV1: every instance is to be replaced by one that runs the same, as a revision of its own.
type RestartedV1 struct {
	Revision int `json:"revision"`
}

// RolloutStartedV1: a revision begins to take the place of another one.
type RolloutStartedV1 struct {
	Revision int               `json:"revision"`
	From     int               `json:"from"`
	Good     int               `json:"good,omitempty"` // the last revision that was whole; 0: none is known
	Strategy spec.StrategyType `json:"strategy"`
}

// RolloutAdvancedV1: more slots are ready at the new revision than ever before.
type RolloutAdvancedV1 struct {
	Revision int  `json:"revision"`
	Ready    int  `json:"ready"`
	Wished   int  `json:"wished"`
	Waits    bool `json:"waits,omitempty"` // the canary is whole: it waits to be promoted
}

// RolloutPausedV1: the roll-out touches no further slots.
type RolloutPausedV1 struct {
	Revision int    `json:"revision"`
	Message  string `json:"message,omitempty"`
}

// RolloutResumedV1: the roll-out goes on.
type RolloutResumedV1 struct {
	Revision int `json:"revision"`
}

// RolloutPromotedV1: the canary was found good; the other slots follow.
type RolloutPromotedV1 struct {
	Revision int `json:"revision"`
}

// RolloutCompletedV1: every slot is ready at the revision.
type RolloutCompletedV1 struct {
	Revision int `json:"revision"`
	Ready    int `json:"ready"`
}

// RolledBackV1: the workload is to be what an earlier revision was.
type RolledBackV1 struct {
	From     int           `json:"from"`
	Revision int           `json:"revision"` // the earlier one, which has its number again
	Workload spec.Workload `json:"workload"`
	Message  string        `json:"message,omitempty"`
}

// WireType implements events.Payload.
func (RolloutV1) WireType() string { return "run.rutter.workload.rollout.v1" }

// WireType implements events.Payload.
func (RestartedV1) WireType() string { return "run.rutter.workload.restarted.v1" }

// WireType implements events.Payload.
func (RolloutStartedV1) WireType() string { return "run.rutter.workload.rollout-started.v1" }

// WireType implements events.Payload.
func (RolloutAdvancedV1) WireType() string { return "run.rutter.workload.rollout-advanced.v1" }

// WireType implements events.Payload.
func (RolloutPausedV1) WireType() string { return "run.rutter.workload.rollout-paused.v1" }

// WireType implements events.Payload.
func (RolloutResumedV1) WireType() string { return "run.rutter.workload.rollout-resumed.v1" }

// WireType implements events.Payload.
func (RolloutPromotedV1) WireType() string { return "run.rutter.workload.rollout-promoted.v1" }

// WireType implements events.Payload.
func (RolloutCompletedV1) WireType() string { return "run.rutter.workload.rollout-completed.v1" }

// WireType implements events.Payload.
func (RolledBackV1) WireType() string { return "run.rutter.workload.rolled-back.v1" }

// Line implements events.Payload.
func (c RolloutV1) Line() string {
	if c.Revision > 0 {
		return fmt.Sprintf("roll-out: %s to revision %d", c.Action, c.Revision)
	}
	return "roll-out: " + string(c.Action)
}

// Line implements events.Payload.
func (e RestartedV1) Line() string { return fmt.Sprintf("restarted as revision %d", e.Revision) }

// Line implements events.Payload.
func (e RolloutStartedV1) Line() string {
	return fmt.Sprintf("roll-out of revision %d after %d started (%s)", e.Revision, e.From, e.Strategy)
}

// Line implements events.Payload.
func (e RolloutAdvancedV1) Line() string {
	line := fmt.Sprintf("roll-out of revision %d advanced: %d of %d ready", e.Revision, e.Ready, e.Wished)
	if e.Waits {
		line += ", waits to be promoted"
	}
	return line
}

// Line implements events.Payload.
func (e RolloutPausedV1) Line() string {
	return withMessage(fmt.Sprintf("roll-out of revision %d paused", e.Revision), e.Message)
}

// Line implements events.Payload.
func (e RolloutResumedV1) Line() string {
	return fmt.Sprintf("roll-out of revision %d resumed", e.Revision)
}

// Line implements events.Payload.
func (e RolloutPromotedV1) Line() string {
	return fmt.Sprintf("roll-out of revision %d promoted", e.Revision)
}

// Line implements events.Payload.
func (e RolloutCompletedV1) Line() string {
	return fmt.Sprintf("roll-out of revision %d completed: %d ready", e.Revision, e.Ready)
}

// Line implements events.Payload.
func (e RolledBackV1) Line() string {
	return withMessage(fmt.Sprintf("rolled back from revision %d to %d", e.From, e.Revision), e.Message)
}

func withMessage(line, message string) string {
	if message == "" {
		return line
	}
	return line + ": " + message
}

func registerRollout(r *events.Registry) {
	events.Register[RolloutV1](r)
	events.Register[RestartedV1](r)
	events.Register[RolloutStartedV1](r)
	events.Register[RolloutAdvancedV1](r)
	events.Register[RolloutPausedV1](r)
	events.Register[RolloutResumedV1](r)
	events.Register[RolloutPromotedV1](r)
	events.Register[RolloutCompletedV1](r)
	events.Register[RolledBackV1](r)
}
