package reconciler

import (
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// Reconcile plans what brings the instances nearer to what is wished, as far as one batch reaches. Planning again on what the plan
// leads to plans nothing.
func Reconcile(view *projections.Cluster, now time.Time) decider.Plan {
	return Plan(decider.Turn{View: view, Now: now, Limit: events.MaxBatch})
}

// Plan answers the commands of the turn and reconciles the state that they lead to: a command and what follows from it are one
// batch, as far as one reaches.
func Plan(turn decider.Turn) decider.Plan {
	draft, a := decider.NewDraft(turn.View, turn.Limit), author(turn.Now)
	var plan decider.Plan
	answered := decider.Answer(draft, a, turn.Commands, func(view *projections.Cluster, c events.Command) decider.Decision {
		return Decide(view, c, turn.Now)
	})
	plan.More = !answered
	for w := range draft.View().Workloads() {
		if plan.More {
			break
		}
		reconcile(draft, a, w.Namespace, w.Name, &plan)
	}
	plan.Batch = draft.Batch()
	return plan
}

// reconcile plans for one workload until there is nothing left to do, each pass on what the one before leads to: a lost
// instance is stopped in one pass and replaced in the next.
func reconcile(draft *decider.Draft, a decider.Author, namespace, name string, plan *decider.Plan) {
	for {
		w, _ := draft.View().Workload(namespace, name)
		p := pass{author: a, view: draft.View(), workload: w, room: draft.Room()}
		p.run()
		draft.Add(p.events...)
		if p.cut {
			plan.More = true
			return
		}
		if len(p.events) == 0 {
			// Only what the last pass held back is held back: the ones before it were on the way here.
			plan.Notes = append(plan.Notes, p.notes...)
			if !p.wakeAt.IsZero() {
				plan.Wake(p.wakeAt)
			}
			return
		}
	}
}

// pass looks once at every instance of one workload.
type pass struct {
	author   decider.Author
	view     *projections.Cluster
	workload *projections.Workload
	room     int

	slots     []*slot        // that are to be filled, by number
	active    map[int]*slot  // the same
	victims   map[int]string // slots that are given up, and what spoke for each
	alive     int            // instances that are not retired
	limits    limits
	available int                  // slots with a ready instance
	surging   int                  // slots whose successor is on its way while the holder goes on
	busy      int                  // slots on their way to the present revision, see rolling
	trying    int                  // slots that are at the present revision or on their way there
	outdated  int                  // instances of other revisions that may still run
	roll      *projections.Rollout // the roll-out that is going on; nil: none is
	moved     map[string]int       // by node that is drained, see moving

	events []events.Event
	cut    bool // the room was too small
	notes  []decider.Note
	wakeAt time.Time
}

// maxNotes bounds the report of one pass.
const maxNotes = 20

func (p *pass) run() {
	w := p.workload
	p.survey()
	if p.alive > 0 {
		for i := range p.view.InstancesOf(w.Namespace, w.Name) {
			p.dismiss(i)
		}
	}
	if isJob(w) {
		if !w.Deleting && !w.Deleted {
			p.job()
		}
	} else {
		p.serve()
	}
	if w.Deleting && !w.Deleted && p.alive == 0 {
		p.say(w.Changed, events.WorkloadSubject(w.Namespace, w.Name), kindDeleted, deleted)
	}
}

// serve keeps the wished number of instances running.
func (p *pass) serve() {
	p.progress()
	for _, s := range p.slots {
		p.fill(s)
	}
	for _, s := range p.slots {
		p.evict(s)
	}
	p.rollOut()
}

// say adds an event while there is room.
func (p *pass) say(cause projections.Mark, subject events.Subject, kind int, data events.Payload) {
	if len(p.events) >= p.room {
		p.cut = true
		return
	}
	p.events = append(p.events, p.author.Say(cause, subject, kind, data))
}

// hold notes what is not done now.
func (p *pass) hold(slot int, until time.Time, why string, args ...any) {
	if !until.IsZero() {
		p.wake(until)
	}
	if len(p.notes) < maxNotes {
		about := fmt.Sprintf("%s/%s slot %d", p.workload.Namespace, p.workload.Name, slot)
		p.notes = append(p.notes, decider.Note{About: about, Why: fmt.Sprintf(why, args...), Until: until})
	}
}

func author(now time.Time) decider.Author {
	return decider.Author{Service: events.ServiceReconciler, Now: now}
}
