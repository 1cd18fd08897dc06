package api

import (
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
)

// RolloutState is where a roll-out stands, in one word.
type RolloutState string

// The states of a roll-out.
const (
	RolloutProgressing RolloutState = "Progressing"
	RolloutWaiting     RolloutState = "Waiting" // the canary is whole: it waits to be promoted
	RolloutPaused      RolloutState = "Paused"
	RolloutCompleted   RolloutState = "Completed"
	RolloutAbandoned   RolloutState = "Abandoned" // another revision is wished for since
)

// RolloutStatus is how far a revision is with taking the place of another one.
type RolloutStatus struct {
	State    RolloutState `json:"state" enum:"Progressing,Waiting,Paused,Completed,Abandoned"`
	Revision int          `json:"revision"`
	From     int          `json:"from" description:"the revision before"`
	Ready    int          `json:"ready" description:"the most slots that were ready at the revision"`
	Message  string       `json:"message,omitempty" description:"why it is paused"`
	Started  Mark         `json:"started"`
	Progress time.Time    `json:"progress" description:"the last step forward"`
}

// RolloutAction asks something of a roll-out.
type RolloutAction struct {
	Action   workload.RolloutAction `json:"action" required:"true"`
	Revision int                    `json:"revision,omitempty" minimum:"0" description:"undo only: the revision to go back to; absent: the last one that was whole"`
}

// Revision is what each instance of a workload was to run, once.
type Revision struct {
	Number    int           `json:"number"`
	Present   bool          `json:"present,omitempty" description:"it is in force"`
	Good      bool          `json:"good,omitempty" description:"the last one that was whole"`
	Instances int           `json:"instances" description:"wished for at this revision"`
	Mark      Mark          `json:"mark" description:"the event that made it"`
	Workload  spec.Workload `json:"workload"`
}
