package api

import (
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// Instance is one attempt at filling a place among a workload's replicas.
type Instance struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Workload  string            `json:"workload"`
	Slot      int               `json:"slot" description:"place among the replicas, from 0"`
	Attempt   int               `json:"attempt" description:"counts from 1 over the whole history of the slot"`
	Revision  int               `json:"revision"`
	Phase     spec.Phase        `json:"phase"`
	Reason    string            `json:"reason" description:"why it is in that phase"`
	Since     time.Time         `json:"since" description:"when the phase was entered"`
	Wished    bool              `json:"wished" description:"whether it is to run"`
	Retired   bool              `json:"retired,omitempty" description:"nothing of it is left anywhere"`
	Node      string            `json:"node,omitempty"`
	Addresses []string          `json:"addresses,omitempty"`
	Ready     int               `json:"ready" description:"containers that are ready"`
	Restarts  int               `json:"restarts"`
	Labels    map[string]string `json:"labels,omitempty"`

	Cause     string    `json:"cause" description:"why it was asked for"`
	Replaces  string    `json:"replaces,omitempty" description:"the instance before it at its slot"`
	Requested Mark      `json:"requested"`
	ReadyAt   time.Time `json:"readyAt,omitzero"`
	Stop      *Stop     `json:"stop,omitempty" description:"why it is no longer wished for"`

	Generation uint64            `json:"generation,omitempty" description:"of its assignment, in the ledger of its node"`
	Containers []Container       `json:"containers"`
	Spec       spec.InstanceSpec `json:"spec"`
}

// Stop is why an instance is no longer wished for.
type Stop struct {
	Cause   string        `json:"cause"`
	Message string        `json:"message,omitempty"`
	Grace   spec.Duration `json:"grace"`
	Mark    Mark          `json:"mark"`
}

// Container is what is observed of a container of an instance: its newest run.
type Container struct {
	Name      string    `json:"name"`
	Image     string    `json:"image"`
	Run       int       `json:"run" description:"counts from 1; 0: never started"`
	State     string    `json:"state" enum:"waiting,running,ended"`
	Ready     bool      `json:"ready"`
	Message   string    `json:"message,omitempty"`
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	LastExit  *Exit     `json:"lastExit,omitempty" description:"how its newest ended run ended"`
	NotBefore time.Time `json:"notBefore,omitzero" description:"when the next run may start"`
}

// Exit is how a run of a container ended.
type Exit struct {
	Run     int           `json:"run"`
	Code    int           `json:"code"`
	Signal  int           `json:"signal,omitempty"`
	OOM     bool          `json:"oom,omitempty"`
	Reason  string        `json:"reason,omitempty"`  // ProbeFailed where a probe ended it
	Message string        `json:"message,omitempty"` // what the probe said last
	At      time.Time     `json:"at"`
	Ran     spec.Duration `json:"ran"`
}

// LogLine is one line of a container's log, or a part of a very long one. In a stream of them a last one with only Error says
// that the stream broke off.
type LogLine struct {
	Time    time.Time `json:"time,omitzero"`
	Stream  string    `json:"stream,omitempty" enum:"stdout,stderr"`
	Partial bool      `json:"partial,omitempty" description:"the line goes on in the next one"`
	Text    string    `json:"text"`
	Error   *Problem  `json:"error,omitempty"`
}

// Stats is what the containers of an instance use now.
type Stats struct {
	Containers []ContainerStats `json:"containers"`
}

// ContainerStats is what a container uses now.
type ContainerStats struct {
	Name   string        `json:"name"`
	CPU    spec.Duration `json:"cpu" description:"processor time since its start"`
	Memory spec.Bytes    `json:"memory"`
	PIDs   int           `json:"pids"`
}
