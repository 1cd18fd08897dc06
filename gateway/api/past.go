package api

import "time"

// Moment is a place in the log: the last event that had happened.
type Moment struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time,omitzero" description:"when that event was decided"`
}

// Turn is what became of a thing between two moments, in one word.
type Turn string

// The turns.
const (
	TurnAdded   Turn = "added"
	TurnRemoved Turn = "removed"
	TurnChanged Turn = "changed"
)

// Difference is what became of one thing between two moments.
type Difference struct {
	Kind      string   `json:"kind" enum:"workload,instance,node"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Turn      Turn     `json:"turn" enum:"added,removed,changed"`
	Words     string   `json:"words" description:"what happened, in words"`
	Changes   []Change `json:"changes,omitempty" description:"the fields of a workload's document that differ"`
}

// Diff is what changed between two moments.
type Diff struct {
	From        Moment       `json:"from"`
	To          Moment       `json:"to"`
	Differences []Difference `json:"differences" required:"true"`
}

// Query asks for the value of an expression (CEL) over the state at a moment.
type Query struct {
	Expression string `json:"expression" required:"true" description:"CEL over workloads, instances, nodes (lists of the API's documents), sequence and time"`
	At         string `json:"at,omitempty" description:"a sequence, an RFC 3339 time, or how long ago (-15m); now where absent"`
}

// QueryResult is what an expression came to.
type QueryResult struct {
	Moment
	Value any `json:"value"`
}

// Bisect asks for the event that made a predicate false.
type Bisect struct {
	Good      string `json:"good" required:"true" description:"a moment at which the predicate is true"`
	Bad       string `json:"bad" required:"true" description:"a later moment at which it is false"`
	Predicate string `json:"predicate" required:"true" description:"CEL that is true or false, over the variables of a query"`
}

// BisectStep is one look at the state on the way.
type BisectStep struct {
	Sequence uint64 `json:"sequence"`
	Good     bool   `json:"good"`
}

// BisectResult names the event before which the predicate was true and after which it was false.
type BisectResult struct {
	Predicate string       `json:"predicate"`
	Sequence  uint64       `json:"sequence" description:"of the event that made it false"`
	Event     any          `json:"event" description:"the event, a structured-mode CloudEvent"`
	Line      string       `json:"line" description:"the event in words"`
	Time      time.Time    `json:"time"`
	Steps     []BisectStep `json:"steps" required:"true" description:"every evaluation between good and bad: at most ⌈log2(bad-good)⌉"`
}

// Restore asks for the wished state of the past to be wished for again.
type Restore struct {
	At        string   `json:"at" required:"true" description:"a sequence, an RFC 3339 time, or how long ago (-15m)"`
	Namespace string   `json:"namespace,omitempty" description:"all where empty"`
	Workloads []string `json:"workloads,omitempty" description:"only these; needs a namespace"`
	Prune     bool     `json:"prune,omitempty" description:"also delete what did not exist then"`
	DryRun    bool     `json:"dryRun,omitempty" description:"say what would be done and send nothing"`
}

// Undo asks for what one operation changed to be changed back.
type Undo struct {
	DryRun bool `json:"dryRun,omitempty" description:"say what would be done and send nothing"`
	Force  bool `json:"force,omitempty" description:"also where somebody else has changed the workload since"`
}

// RestoreAction is what a restore does about one workload, in one word.
type RestoreAction string

// The actions of a restore.
const (
	RestoreApply  RestoreAction = "apply"  // wish for it again as it was
	RestoreDelete RestoreAction = "delete" // it did not exist then
	RestoreKeep   RestoreAction = "keep"   // it did not exist then; it stays unless it is to be pruned
)

// RestoreStep is what a restore does, or would do, about one workload.
type RestoreStep struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Action    RestoreAction `json:"action" enum:"apply,delete,keep"`
	Words     string        `json:"words" description:"what it comes to, in words"`
	Changes   []Change      `json:"changes,omitempty"`
	Operation *Operation    `json:"operation,omitempty" description:"the command that did it"`
	Error     string        `json:"error,omitempty" description:"why it was not done"`
}

// Restored is what a restore did, or would do.
type Restored struct {
	At     Moment        `json:"at" description:"the moment that was restored"`
	DryRun bool          `json:"dryRun,omitempty"`
	Steps  []RestoreStep `json:"steps" required:"true"`
	// NotRestored lists what no event can bring back.
	NotRestored []string `json:"notRestored" required:"true" description:"what no event can bring back"`
}

// Changes reports whether there is anything to do.
func (r Restored) Changes() bool {
	for _, step := range r.Steps {
		if step.Action != RestoreKeep {
			return true
		}
	}
	return false
}
