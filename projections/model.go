package projections

import (
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
)

// Mark is the event that brought something about: what a consequence names as its cause.
type Mark struct {
	ID          string    `json:"id"`
	Correlation string    `json:"correlation,omitempty"`
	Actor       string    `json:"actor,omitempty"`
	TraceParent string    `json:"traceparent,omitempty"`
	Time        time.Time `json:"time"`
	Sequence    uint64    `json:"sequence"`
}

// Workload is the wished state of a workload.
type Workload struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Document  spec.Workload `json:"document"` // as last applied, with the present number of replicas
	Revision  int           `json:"revision"`
	Created   time.Time     `json:"created"`
	Deleting  bool          `json:"deleting,omitempty"`
	Deleted   bool          `json:"deleted,omitempty"`  // remembered so that revisions and attempts go on climbing
	Applied   Mark          `json:"applied"`            // the last Applied
	Changed   Mark          `json:"changed"`            // the last event of any type
	Scaled    bool          `json:"scaled,omitempty"`   // the last change was a Scaled
	Newest    int           `json:"newest"`             // the highest revision that the name ever had; after a roll-back the present one is lower
	Good      int           `json:"good,omitempty"`     // the last revision that was whole; 0: none is known
	Finished  *Finished     `json:"finished,omitempty"` // of a job: how it ended; nil: it has not
	Rollout   *Rollout      `json:"rollout,omitempty"`  // the last one; nil: there was none
	Revisions []Revision    `json:"revisions"`          // the newest few, oldest first
	Head      uint64        `json:"head"`               // last sequence of its subject
}

// Replicas is how many instances are wished for; none once the workload is to go.
func (w *Workload) Replicas() int {
	switch {
	case w.Deleting || w.Deleted:
		return 0
	case w.Document.Spec.Type == spec.Job && w.Document.Spec.Job != nil:
		return w.Document.Spec.Job.Completions
	case w.Document.Spec.Replicas == nil:
		return 0
	}
	return *w.Document.Spec.Replicas
}

// Slot is one place among a workload's replicas, and the history that its backoff is a fold of.
type Slot struct {
	Namespace string    `json:"namespace"`
	Workload  string    `json:"workload"`
	Number    int       `json:"number"`
	Attempt   int       `json:"attempt"`            // of the newest instance; only climbs
	Instance  string    `json:"instance"`           // name of the newest instance
	Failures  int       `json:"failures,omitempty"` // instances in a row that ended by themselves before they had been ready for a while
	FailedAt  time.Time `json:"failedAt,omitzero"`  // when the newest of them ended, by the log's clock
	Revision  int       `json:"revision,omitempty"` // of the newest instance
	Failed    int       `json:"failed,omitempty"`   // instances of that revision that failed, in all
}

// Finished is how a job ended.
type Finished struct {
	Succeeded bool      `json:"succeeded,omitempty"`
	Message   string    `json:"message,omitempty"`
	At        time.Time `json:"at"` // by the log's clock
	Mark      Mark      `json:"mark"`
}

// Stop is why an instance is no longer wished for.
type Stop struct {
	Cause   instance.Cause `json:"cause"`
	Message string         `json:"message,omitempty"`
	Grace   spec.Duration  `json:"grace"`
	Mark    Mark           `json:"mark"`
}

// Instance is one attempt at filling a slot: what is wished, where it is and what is observed of it.
type Instance struct {
	Key       events.InstanceKey `json:"key"`
	Slot      int                `json:"slot"`
	Attempt   int                `json:"attempt"`
	Revision  int                `json:"revision"`
	Spec      spec.InstanceSpec  `json:"spec"`
	Cause     instance.Cause     `json:"cause"`
	Replaces  string             `json:"replaces,omitempty"`
	Requested Mark               `json:"requested"`

	Node       string `json:"node,omitempty"` // where it is assigned, also after that has been revoked
	Generation uint64 `json:"generation,omitempty"`
	Assigned   Mark   `json:"assigned,omitzero"`
	Revoked    bool   `json:"revoked,omitempty"`
	NodeLost   bool   `json:"nodeLost,omitempty"` // its node is lost now, or has left
	Lost       Mark   `json:"lost,omitzero"`      // the node.Lost or node.Left that set NodeLost
	// Evicted is why the scheduler took it off its node although it is wished for there.
	Evicted *Eviction `json:"evicted,omitempty"`

	Stop    *Stop   `json:"stop,omitempty"`
	Retired bool    `json:"retired,omitempty"`
	End     *Ending `json:"end,omitempty"` // nothing of it runs on its node any more

	Unplaceable *unplaced.UnplaceableV2 `json:"unplaceable,omitempty"` // why it has no node, while it has none
	Delayed     *report.DelayedV1       `json:"delayed,omitempty"`     // what is in the way on its node
	Addresses   []string                `json:"addresses,omitempty"`
	Containers  []Container             `json:"containers"` // in the order of the spec
	Pulling     bool                    `json:"pulling,omitempty"`
	Created     bool                    `json:"created,omitempty"`
	ReadyAt     time.Time               `json:"readyAt,omitzero"` // when it last became ready

	Phase  spec.Phase `json:"phase"`
	Reason string     `json:"reason"`
	Since  time.Time  `json:"since"` // when the phase was entered

	Head         uint64 `json:"head"`         // last sequence of evt.instance
	UnplacedHead uint64 `json:"unplacedHead"` // last sequence of evt.unplaced
	ReportHead   uint64 `json:"reportHead"`   // last sequence of evt.report on its node
	LastReport   Mark   `json:"lastReport,omitzero"`
}

// Eviction is the scheduler's taking back of an instance that is wished for: the reconciler stops it and asks for the next one.
type Eviction struct {
	Cause   instance.Cause      `json:"cause"`
	Message string              `json:"message,omitempty"`
	By      *events.InstanceKey `json:"by,omitempty"` // the instance that it makes room for
	Mark    Mark                `json:"mark"`
}

// Ending is how an instance came to its end on its node.
type Ending struct {
	Outcome  report.Outcome `json:"outcome,omitempty"`  // empty where the node rejected it
	Rejected string         `json:"rejected,omitempty"` // the reason
	Message  string         `json:"message,omitempty"`
	Mark     Mark           `json:"mark"`
}

// Failed reports whether the instance came to a bad end by itself.
func (e *Ending) Failed() bool { return e.Rejected != "" || e.Outcome == report.OutcomeFailed }

// ByItself reports whether the instance ended without anybody having asked: its next attempt backs off.
func (e *Ending) ByItself() bool { return e.Failed() || e.Outcome == report.OutcomeSucceeded }

// Wished reports whether the instance is to run.
func (i *Instance) Wished() bool { return i.Stop == nil && !i.Retired }

// Placed reports whether the instance has a node.
func (i *Instance) Placed() bool { return i.Node != "" }

// Restarts is how often containers were run again.
func (i *Instance) Restarts() int {
	n := 0
	for _, c := range i.Containers {
		n += max(0, c.Run-1)
	}
	return n
}

// ReadyContainers is how many containers are ready.
func (i *Instance) ReadyContainers() int {
	n := 0
	for _, c := range i.Containers {
		if c.Running && c.Healthy {
			n++
		}
	}
	return n
}

// Container is what is observed of one container of an instance: its newest run.
type Container struct {
	Name      string           `json:"name"`
	Run       int              `json:"run"` // 0: never started
	ID        string           `json:"id,omitempty"`
	PID       int              `json:"pid,omitempty"`
	Running   bool             `json:"running"`
	Healthy   bool             `json:"healthy"`
	Message   string           `json:"message,omitempty"` // of the failing probe
	StartedAt time.Time        `json:"startedAt,omitzero"`
	Exit      *report.ExitedV1 `json:"exit,omitempty"` // of the newest run that ended
	NotBefore time.Time        `json:"notBefore,omitzero"`
	Failures  int              `json:"failures,omitempty"`
}

// NodeHealth is what node-health judges of a node.
type NodeHealth string

// The judgements.
const (
	Healthy   NodeHealth = "Healthy"
	Suspected NodeHealth = "Suspected"
	Lost      NodeHealth = "Lost"
	Left      NodeHealth = "Left"
)

// Node is a machine that runs instances.
type Node struct {
	Name        string            `json:"name"`
	Health      NodeHealth        `json:"health"`
	Ready       bool              `json:"ready"`             // initialised, by its agent's word
	Message     string            `json:"message,omitempty"` // why it is not ready
	Incarnation string            `json:"incarnation"`
	Key         string            `json:"key"`
	Address     string            `json:"address,omitempty"`
	Capacity    spec.Resources    `json:"capacity"`
	Labels      map[string]string `json:"labels,omitempty"`
	Version     string            `json:"version,omitempty"`
	Runtime     string            `json:"runtime,omitempty"`
	Joined      time.Time         `json:"joined"`
	Since       time.Time         `json:"since"` // when its state last changed
	// AgentLabels are those that its agent registered with; Labels are these and, winning over them, OwnLabels, which were set by hand.
	AgentLabels map[string]string `json:"agentLabels,omitempty"`
	OwnLabels   map[string]string `json:"ownLabels,omitempty"`
	Taints      []spec.Taint      `json:"taints,omitempty"`   // by key, then effect
	Cordoned    bool              `json:"cordoned,omitempty"` // gets no new instances, by an operator's word
	Drain       *Drain            `json:"drain,omitempty"`    // nil: it is not drained
	// Past are the registrations before the present one since the node last joined, newest first, as far as they may still matter.
	Past    []node.JoinedV1 `json:"past,omitempty"`
	Changed Mark            `json:"changed"`

	Allocated  spec.Resources `json:"allocated"`           // reserved by what its ledger holds
	HostPorts  []string       `json:"hostPorts,omitempty"` // taken by what its ledger holds, such as tcp/80, sorted
	Devices    []spec.GPUs    `json:"devices,omitempty"`   // what is taken of each GPU
	Instances  int            `json:"instances"`           // that its ledger holds
	Generation uint64         `json:"generation"`          // of the newest assignment
	LedgerHead uint64         `json:"ledgerHead"`          // last sequence of evt.ledger
	LostBy     Mark           `json:"lostBy,omitzero"`     // the Lost or Left that took it out, while it is out
	Head       uint64         `json:"head"`                // last sequence of evt.node
}

// State is the node's health and readiness in one word.
func (n *Node) State() string {
	switch {
	case n.Health != Healthy:
		return string(n.Health)
	case n.Ready:
		return "Ready"
	default:
		return "NotReady"
	}
}

// TakesWork reports whether the scheduler may place instances on the node.
func (n *Node) TakesWork() bool { return n.Health == Healthy && n.Ready && !n.Cordoned }

// Drain is that a node is being emptied, or has been.
type Drain struct {
	Deadline time.Time `json:"deadline,omitzero"` // zero: there is no hurry
	Mark     Mark      `json:"mark"`
	Done     bool      `json:"done,omitempty"` // nothing was left on it
}

// Overdue reports whether the drain's deadline has passed.
func (d *Drain) Overdue(now time.Time) bool { return !d.Deadline.IsZero() && !now.Before(d.Deadline) }

// Entry is an instance that holds capacity on a node: from its assignment until its agent says that it is gone, however
// long that takes, so that a node is never over-committed.
type Entry struct {
	Node       string             `json:"node"`
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"`
	Requests   spec.Resources     `json:"requests"`
	HostPorts  []string           `json:"hostPorts,omitempty"`
	Priority   spec.Priority      `json:"priority,omitempty"`
	Devices    []DeviceShare      `json:"devices,omitempty"`
	Revoked    bool               `json:"revoked,omitempty"`
	Assigned   Mark               `json:"assigned"`
}

// DeviceShare is what an entry holds of one GPU.
type DeviceShare struct {
	Container string    `json:"container,omitempty"`
	Device    int       `json:"device"`
	Share     spec.GPUs `json:"share"`
}

// Outcome is what became of a command.
type Outcome struct {
	Service  string         `json:"service"`
	Accepted bool           `json:"accepted"`
	Code     command.Code   `json:"code,omitempty"`
	Message  string         `json:"message,omitempty"`
	Command  command.Record `json:"command"`
	Events   []string       `json:"events,omitempty"`
	Mark     Mark           `json:"mark"`
}
