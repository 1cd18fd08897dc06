package nodehealth

import (
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// Pulse is what was heard of one node. Its times are by the listener's monotonic clock.
type Pulse struct {
	Beat      events.Heartbeat
	Heard     time.Time // when Beat came; zero: none came yet
	Present   time.Time // when the present incarnation itself was last heard; zero: never
	Noticed   time.Time // when the node's present incarnation was first seen in the log: its silence counts from here
	Suspected time.Time // when its being suspected was first seen in the log; zero: it is not
}

// Hearing is all that was heard, and since when this process has been able to hear without a break.
type Hearing struct {
	Pulses map[string]Pulse
	Since  time.Time // silence before this moment does not count
	Self   time.Time // when this process last heard itself; zero: it never has
}

// Judge plans what to say of the nodes' health.
func Judge(view *projections.Cluster, h Hearing, t Timing, now time.Time) decider.Plan {
	draft := decider.NewDraft(view, events.MaxBatch)
	var plan decider.Plan
	judge(draft, h, t, now, &plan)
	plan.Batch = draft.Batch()
	return plan
}

// Plan answers the commands of a turn and judges the nodes on the state that they lead to.
func Plan(turn decider.Turn, hearing Hearing, timing Timing) decider.Plan {
	draft := decider.NewDraft(turn.View, turn.Limit)
	var plan decider.Plan
	plan.More = !decider.Answer(draft, author(turn.Now), turn.Commands, func(view *projections.Cluster, c events.Command) decider.Decision {
		return Decide(view, c, turn.Now)
	})
	judge(draft, hearing, timing, turn.Now, &plan)
	plan.Batch = draft.Batch()
	return plan
}

func judge(draft *decider.Draft, h Hearing, t Timing, now time.Time, plan *decider.Plan) {
	b := bench{author: author(now), hearing: h, timing: t, now: now, plan: plan, lostAfter: t.LostAfter}
	view := draft.View()
	if h.Self.IsZero() || now.Sub(h.Self) > t.SuspectAfter {
		b.deaf = true
		plan.Notes = append(plan.Notes, decider.Note{About: "all nodes", Why: "this process does not hear itself: holds judgement"})
	} else if b.allSilent(view) {
		b.lostAfter = t.AllSilentAfter
		plan.Notes = append(plan.Notes, decider.Note{About: "all nodes", Why: "all fell silent at once: waits longer before they count as lost"})
	}
	for n := range view.Nodes() {
		if n.Health == projections.Left {
			continue
		}
		more := append(b.node(n), b.drained(n)...)
		if draft.Room() < len(more) {
			plan.More = true
			return
		}
		draft.Add(more...)
	}
}

// bench judges the nodes one by one.
type bench struct {
	author    decider.Author
	hearing   Hearing
	timing    Timing
	now       time.Time
	plan      *decider.Plan
	lostAfter time.Duration
	deaf      bool
}

// silence is for how long nothing was heard of a node while something could have been.
func (b *bench) silence(name string) time.Duration {
	p := b.hearing.Pulses[name]
	latest := b.hearing.Since
	for _, at := range []time.Time{p.Heard, p.Noticed} {
		if at.After(latest) {
			latest = at
		}
	}
	return b.now.Sub(latest)
}

// allSilent reports whether two or more nodes fell silent and nobody is heard. One that is lost already counts as long as it may
// have fallen silent with the others, so that the first loss does not hasten the rest.
func (b *bench) allSilent(view *projections.Cluster) bool {
	awaited := 0
	for n := range view.Nodes() {
		silent := b.silence(n.Name)
		switch n.Health {
		case projections.Left:
		case projections.Lost:
			if heard := b.hearing.Pulses[n.Name].Heard; !heard.IsZero() && b.now.Sub(heard) < b.timing.SuspectAfter {
				return false
			}
			if silent < 2*b.timing.AllSilentAfter {
				awaited++
			}
		default:
			if silent < b.timing.SuspectAfter {
				return false
			}
			awaited++
		}
	}
	return awaited > 1
}

// node judges one node: first whether it is there, then whether it takes work. What follows from a state follows once.
func (b *bench) node(n *projections.Node) (said []events.Event) {
	p := b.hearing.Pulses[n.Name]
	subject := events.NodeSubject(n.Name)
	silent := b.silence(n.Name)
	// Only what its present agent says is heard counts in its favour; any sign of life counts against its being silent.
	fresh := !p.Heard.IsZero() && b.now.Sub(p.Heard) < b.timing.SuspectAfter && p.Beat.Incarnation == n.Incarnation
	health, chain := n.Health, n.Changed
	if old, ok := n.Registered(p.Beat.Incarnation); ok && b.overtaken(p) {
		e := b.author.Say(chain, subject, kindRejoined, old)
		said, chain, fresh, health = append(said, e), decider.MarkOf(e), true, projections.Healthy
		back := *n
		back.Incarnation, back.Ready = old.Incarnation, false
		n = &back
	}
	switch {
	case fresh && health != projections.Healthy:
		e := b.author.Say(chain, subject, kindReturned, node.ReturnedV1{Incarnation: n.Incarnation, WasLost: health == projections.Lost})
		said = append(said, e)
		health, chain = projections.Healthy, decider.MarkOf(e)
	case b.deaf:
	case health == projections.Healthy && silent >= b.timing.SuspectAfter:
		return append(said, b.author.Begin(chain, subject, kindSuspected, node.SuspectedV1{Silent: spec.Duration(silent)}))
	case health == projections.Healthy:
		b.plan.Wake(b.now.Add(b.timing.SuspectAfter - silent))
	case health == projections.Suspected:
		if due := b.untilLost(p, silent); due > 0 {
			b.plan.Wake(b.now.Add(due))
			break
		}
		return append(said, b.author.Say(chain, subject, kindLost, node.LostV1{Silent: spec.Duration(silent)}))
	}
	if health != projections.Healthy || !fresh || p.Beat.Ready == n.Ready {
		return said
	}
	if p.Beat.Ready {
		return append(said, b.author.Say(chain, subject, kindReady, node.ReadyV1{}))
	}
	return append(said, b.author.Begin(chain, subject, kindNotReady, node.NotReadyV1{Message: p.Beat.Message}))
}

// overtaken reports whether the node's present registration is an old one that came late: its process was never heard, and
// another one goes on beating long after. Commands may come in another order than they were sent.
func (b *bench) overtaken(p Pulse) bool {
	return p.Present.IsZero() && p.Heard.Sub(p.Noticed) >= b.timing.SuspectAfter && b.now.Sub(p.Heard) < b.timing.SuspectAfter
}

// untilLost is how long a suspected node may still be silent. It stands suspected in the log for as long as lies between the two
// thresholds, whoever wrote that: so the log took a write and anybody could see it coming.
func (b *bench) untilLost(p Pulse, silent time.Duration) time.Duration {
	stands := time.Duration(0)
	if !p.Suspected.IsZero() {
		stands = b.now.Sub(p.Suspected)
	}
	return max(b.lostAfter-silent, b.timing.LostAfter-b.timing.SuspectAfter-stands)
}
