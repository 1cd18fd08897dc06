package api

import (
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// Workload is a workload as it is wished for, and in Status how far the cluster is. Its other fields are the document that was
// applied: what is read can be applied again.
type Workload struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   spec.Metadata     `json:"metadata"`
	Spec       spec.WorkloadSpec `json:"spec"`
	Status     WorkloadStatus    `json:"status,omitzero"`
}

// WorkloadState is where a workload stands, in one word.
type WorkloadState string

// The states of a workload.
const (
	WorkloadReady       WorkloadState = "Ready"       // every wished instance is ready at the newest revision, and no other is left
	WorkloadProgressing WorkloadState = "Progressing" // on the way there
	WorkloadDegraded    WorkloadState = "Degraded"    // something is in the way; the message says what
	WorkloadDeleting    WorkloadState = "Deleting"    // its instances are stopping
	WorkloadCompleted   WorkloadState = "Completed"   // a job whose instances have all succeeded
	WorkloadFailed      WorkloadState = "Failed"      // a job that has failed
)

// WorkloadStatus says how far the cluster is with a workload.
type WorkloadStatus struct {
	State     WorkloadState      `json:"state" enum:"Ready,Progressing,Degraded,Deleting,Completed,Failed"`
	Message   string             `json:"message,omitempty" description:"what is still missing"`
	Revision  int                `json:"revision" description:"counts the instance specs that this name has had"`
	Wished    int                `json:"wished" description:"instances wished for"`
	Instances int                `json:"instances" description:"instances that are not over"`
	Updated   int                `json:"updated" description:"of them at the newest revision"`
	Ready     int                `json:"ready" description:"of them at the newest revision and ready"`
	Succeeded int                `json:"succeeded,omitempty" description:"of a job: instances that have succeeded"`
	Phases    map[spec.Phase]int `json:"phases,omitempty" description:"instances by phase"`
	Created   time.Time          `json:"created"`
	Rollout   *RolloutStatus     `json:"rollout,omitempty" description:"the last one; absent: there was none yet"`
	Changed   Mark               `json:"changed" description:"the last event of the workload itself"`
}

// Mark is the event that brought something about.
type Mark struct {
	ID       string    `json:"id"`
	Actor    string    `json:"actor,omitempty"`
	Time     time.Time `json:"time"`
	Sequence uint64    `json:"sequence"`
}

// Scale asks for another number of replicas.
type Scale struct {
	Replicas *int `json:"replicas" required:"true" minimum:"0"`
}

// Change is one field that an apply would change.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// Verdict is what became of a request, in one word.
type Verdict string

// The verdicts.
const (
	VerdictCreated   Verdict = "created"
	VerdictChanged   Verdict = "changed"
	VerdictUnchanged Verdict = "unchanged"
	VerdictDeleting  Verdict = "deleting"
	VerdictStopping  Verdict = "stopping"
	VerdictPending   Verdict = "pending" // not decided within the time that the gateway waits; ask for the operation
)

// Result is the answer to a request that changes something.
type Result struct {
	Verdict   Verdict    `json:"verdict" enum:"created,changed,unchanged,deleting,stopping,pending"`
	DryRun    bool       `json:"dryRun,omitempty" description:"nothing was sent: this is what would happen"`
	Operation *Operation `json:"operation,omitempty"`
	Changes   []Change   `json:"changes,omitempty"`
	Workload  *Workload  `json:"workload,omitempty"`
	Instance  *Instance  `json:"instance,omitempty"`
	Node      *Node      `json:"node,omitempty"`
}
