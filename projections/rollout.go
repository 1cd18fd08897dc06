package projections

import (
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
)

// Rollout is how far a revision is with taking the place of another one.
type Rollout struct {
	Revision int       `json:"revision"`
	From     int       `json:"from"`
	Started  Mark      `json:"started"`
	Progress time.Time `json:"progress"`           // the last step forward, by the log's clock
	Ready    int       `json:"ready,omitempty"`    // the most slots that were ready at the revision
	Waits    bool      `json:"waits,omitempty"`    // the canary is whole and not promoted yet
	Promoted bool      `json:"promoted,omitempty"` // of a canary: the others follow
	Paused   bool      `json:"paused,omitempty"`
	Message  string    `json:"message,omitempty"` // why it is paused
	Done     bool      `json:"done,omitempty"`
}

// Revision is what each instance of a workload was to run, once.
type Revision struct {
	Number   int           `json:"number"`
	Document spec.Workload `json:"document"`
	Mark     Mark          `json:"mark"` // the event that made it
}

// keptRevisions is how many revisions a workload remembers; the log keeps all.
const keptRevisions = 10

// Remembered returns a revision that one can go back to.
func (w *Workload) Remembered(number int) (Revision, bool) {
	for _, r := range w.Revisions {
		if r.Number == number {
			return r, true
		}
	}
	return Revision{}, false
}

// InRollout returns the roll-out of the present revision, nil where none has begun or it is over.
func (w *Workload) InRollout() *Rollout {
	if w.Rollout == nil || w.Rollout.Revision != w.Revision || w.Rollout.Done {
		return nil
	}
	return w.Rollout
}

// revised notes that the workload is at another revision, or at another document of the same.
func (w *Workload) revised(number int, document spec.Workload, m Mark) {
	w.Finished = nil // it may have more to do
	w.Document, w.Revision, w.Applied = document, number, m
	w.Newest = max(w.Newest, number)
	if at := slices.IndexFunc(w.Revisions, func(r Revision) bool { return r.Number == number }); at >= 0 {
		w.Revisions = slices.Clone(w.Revisions)
		w.Revisions[at].Document = document
		return
	}
	w.Revisions = append(slices.Clone(w.Revisions[max(0, len(w.Revisions)-keptRevisions+1):]), Revision{Number: number, Document: document, Mark: m})
}

// rolled folds what is said of a roll-out.
func (w *Workload) rolled(e events.Event) {
	change := func(alter func(*Rollout)) {
		if w.Rollout != nil {
			r := *w.Rollout
			alter(&r)
			w.Rollout = &r
		}
	}
	switch data := e.Data.(type) {
	case workload.RolloutStartedV1:
		w.Rollout = &Rollout{Revision: data.Revision, From: data.From, Started: markOf(e), Progress: loggedAt(e)}
		w.Good = data.Good
	case workload.RolloutAdvancedV1:
		change(func(r *Rollout) { r.Ready, r.Waits, r.Progress = data.Ready, data.Waits, loggedAt(e) })
	case workload.RolloutPausedV1:
		change(func(r *Rollout) { r.Paused, r.Message = true, data.Message })
	case workload.RolloutResumedV1:
		change(func(r *Rollout) { r.Paused, r.Message, r.Progress = false, "", loggedAt(e) })
	case workload.RolloutPromotedV1:
		change(func(r *Rollout) { r.Promoted, r.Waits, r.Progress = true, false, loggedAt(e) })
	case workload.RolloutCompletedV1:
		change(func(r *Rollout) { r.Done, r.Waits, r.Ready = true, false, data.Ready })
		if data.Ready > 0 {
			w.Good = data.Revision
		}
	}
}
