// Package report says what a node's agent observes of an instance assigned to it. That agent is the only writer of these events. A run
// counts from 1 for each container of an instance and only climbs.
package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// PullingV1: the instance's images are not all on the node and are being pulled.
type PullingV1 struct {
	Images []spec.ImageRef `json:"images"`
}

// CreatedV1: the instance's sandbox stands.
type CreatedV1 struct {
	Addresses []string `json:"addresses,omitempty"` // IP addresses of the instance
}

// StartedV1: a run of a container has started.
type StartedV1 struct {
	Container   string    `json:"container"`
	Run         int       `json:"run"`
	ContainerID string    `json:"containerID"`
	PID         int       `json:"pid,omitempty"`
	At          time.Time `json:"at"`
	Addresses   []string  `json:"addresses,omitempty"` // IP addresses of the instance
}

// HealthyV1: a container that was not ready is.
type HealthyV1 struct {
	Container string `json:"container"`
	Run       int    `json:"run"`
}

// UnhealthyV1: a probe of a container fails.
type UnhealthyV1 struct {
	Container string `json:"container"`
	Run       int    `json:"run"`
	Message   string `json:"message"`
}

// ExitedV1: a run of a container has ended.
type ExitedV1 struct {
	Container string        `json:"container"`
	Run       int           `json:"run"`
	Code      int           `json:"code"`             // 128 + signal where a signal ended it
	Signal    int           `json:"signal,omitempty"` // 0 where none did
	OOM       bool          `json:"oom,omitempty"`    // the kernel killed it at its memory limit
	At        time.Time     `json:"at"`
	Ran       spec.Duration `json:"ran"`
	// Reason is ProbeFailed where the agent ended the run because of a probe, and Message what that said last.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// ReasonProbeFailed: a liveness or startup probe failed as often as it may.
const ReasonProbeFailed = "ProbeFailed"

// RestartingV1: the container's next run waits.
type RestartingV1 struct {
	Container string    `json:"container"`
	Run       int       `json:"run"`               // the coming one
	NotBefore time.Time `json:"notBefore"`         // by the node's clock
	Failures  int       `json:"failures"`          // in a row
	Message   string    `json:"message,omitempty"` // why the agent ended the last run, where it did
}

// DelayedV1: something that may get better is in the way; the agent tries again by itself.
type DelayedV1 struct {
	Reason  string `json:"reason"` // such as ImagePullBackOff
	Message string `json:"message"`
}

// Outcome says how an instance came to its end on its node.
type Outcome string

// The outcomes.
const (
	OutcomeRevoked   Outcome = "Revoked"   // it was told to stop
	OutcomeSucceeded Outcome = "Succeeded" // every container ended with code 0 and is not to run again
	OutcomeFailed    Outcome = "Failed"    // a container ended otherwise and is not to run again
	OutcomeCutOff    Outcome = "CutOff"    // the node was cut off longer than its lease and onPartition is stop
)

// StoppedV1: nothing of the instance runs on the node any more.
type StoppedV1 struct {
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message,omitempty"`
}

// RejectedV1: the node cannot run the instance and will not try again.
type RejectedV1 struct {
	Reason  string `json:"reason"` // such as ImageNotFound, BadImage, BadConfig, StaleGeneration
	Message string `json:"message"`
}

// WireType implements events.Payload.
func (PullingV1) WireType() string { return "run.rutter.report.pulling.v1" }

// WireType implements events.Payload.
func (CreatedV1) WireType() string { return "run.rutter.report.created.v1" }

// WireType implements events.Payload.
func (StartedV1) WireType() string { return "run.rutter.report.started.v1" }

// WireType implements events.Payload.
func (HealthyV1) WireType() string { return "run.rutter.report.healthy.v1" }

// WireType implements events.Payload.
func (UnhealthyV1) WireType() string { return "run.rutter.report.unhealthy.v1" }

// WireType implements events.Payload.
func (ExitedV1) WireType() string { return "run.rutter.report.exited.v1" }

// WireType implements events.Payload.
func (RestartingV1) WireType() string { return "run.rutter.report.restarting.v1" }

// WireType implements events.Payload.
func (DelayedV1) WireType() string { return "run.rutter.report.delayed.v1" }

// WireType implements events.Payload.
func (StoppedV1) WireType() string { return "run.rutter.report.stopped.v1" }

// WireType implements events.Payload.
func (RejectedV1) WireType() string { return "run.rutter.report.rejected.v1" }

// Line implements events.Payload.
func (e PullingV1) Line() string {
	names := make([]string, len(e.Images))
	for i, image := range e.Images {
		names[i] = image.Short()
	}
	return "pulling " + strings.Join(names, ", ")
}

// Line implements events.Payload.
func (e CreatedV1) Line() string {
	if len(e.Addresses) == 0 {
		return "created"
	}
	return "created at " + strings.Join(e.Addresses, ", ")
}

// Line implements events.Payload.
func (e StartedV1) Line() string {
	return fmt.Sprintf("started %s, run %d, process %d", e.Container, e.Run, e.PID)
}

// Line implements events.Payload.
func (e HealthyV1) Line() string { return e.Container + " is healthy" }

// Line implements events.Payload.
func (e UnhealthyV1) Line() string { return e.Container + " is unhealthy: " + e.Message }

// Line implements events.Payload.
func (e ExitedV1) Line() string {
	how := fmt.Sprintf("with code %d", e.Code)
	switch {
	case e.OOM:
		how = "out of memory"
	case e.Signal != 0:
		how = fmt.Sprintf("by signal %d", e.Signal)
	}
	line := fmt.Sprintf("%s exited %s, run %d, after %s", e.Container, how, e.Run, time.Duration(e.Ran).Round(time.Millisecond))
	if e.Reason == ReasonProbeFailed {
		line += ", because a probe failed: " + e.Message
	}
	return line
}

// Line implements events.Payload.
func (e RestartingV1) Line() string {
	line := fmt.Sprintf("restarting %s, run %d not before %s", e.Container, e.Run, e.NotBefore.UTC().Format("15:04:05.000"))
	if e.Message != "" {
		line += ", after a probe failed: " + e.Message
	}
	return line
}

// Line implements events.Payload.
func (e DelayedV1) Line() string { return "delayed: " + e.Reason + ": " + e.Message }

// Line implements events.Payload.
func (e StoppedV1) Line() string {
	if e.Message == "" {
		return "stopped: " + string(e.Outcome)
	}
	return "stopped: " + string(e.Outcome) + ", " + e.Message
}

// Line implements events.Payload.
func (e RejectedV1) Line() string { return "rejected: " + e.Reason + ": " + e.Message }

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	events.RegisterShared[PullingV1](r)
	events.Register[CreatedV1](r)
	events.Register[StartedV1](r)
	events.RegisterShared[HealthyV1](r)
	events.RegisterShared[UnhealthyV1](r)
	events.Register[ExitedV1](r)
	events.Register[RestartingV1](r)
	events.RegisterShared[DelayedV1](r)
	events.RegisterShared[StoppedV1](r)
	events.RegisterShared[RejectedV1](r)
}
