package projectionstest

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
)

// History is the made-up life of a cluster of any length: workloads applied, scaled, rolled out and deleted, commands turned down, instances
// placed, started, crashing and stopping, nodes lost and returned, many of these under way at once. The same seed tells the same.
type History struct {
	Seed  uint64
	Nodes int
	// PerNode is how many instances a node holds once the cluster is full; 10 where 0.
	PerNode int
}

// Events tells so many events.
func (h History) Events(n int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		t := newTeller(h)
		for range n {
			if !yield(t.next()) {
				return
			}
		}
	}
}

// teller is a cluster as far as its history goes on from there.
type teller struct {
	random   *rand.Rand
	now      time.Time
	sequence uint64
	full     int // instances
	alive    int
	named    int // workloads so far
	nodes    []*machine
	loads    []*load
	under    []*process // under way
}

type machine struct {
	name       string
	out        bool
	generation uint64
	holds      []*attempt
}

type load struct {
	document spec.Workload
	revision int
	busy     bool
	slots    []*attempt
}

// attempt is an instance at work.
type attempt struct {
	key        events.InstanceKey
	slot, n    int
	spec       spec.InstanceSpec
	node       *machine
	generation uint64
	run        int
	running    bool
	stopping   bool
}

// process is a chain of events, each caused by the one before. A step that has become pointless says nothing.
type process struct {
	cause, correlation, actor, trace string
	steps                            []step
}

type step func(*process) (events.Subject, events.Payload)

func newTeller(h History) *teller {
	per := h.PerNode
	if per == 0 {
		per = 10
	}
	t := &teller{random: rand.New(rand.NewPCG(h.Seed, 0x5eed)), now: Start, full: per * h.Nodes}
	for n := range h.Nodes {
		m := &machine{name: fmt.Sprintf("node-%04d", n)}
		t.nodes = append(t.nodes, m)
		t.begin("node:"+m.name,
			always(events.NodeSubject(m.name), node.JoinedV1{
				Incarnation: fmt.Sprintf("%s-1", m.name), Key: "UA" + m.name, Address: fmt.Sprintf("10.0.%d.%d", n/250, 1+n%250), Version: "1.0.0", Runtime: "runc 1.1.5",
				Capacity: spec.Resources{CPU: 16_000, Memory: 64 << 30, Disk: 500 << 30}, Labels: map[string]string{"zone": string(rune('a' + n%3)), "arch": "amd64"},
			}),
			always(events.NodeSubject(m.name), node.ReadyV1{}))
	}
	return t
}

func always(subject events.Subject, data events.Payload) step {
	return func(*process) (events.Subject, events.Payload) { return subject, data }
}

func (t *teller) one(n int) bool { return t.random.IntN(n) == 0 }

func (t *teller) begin(actor string, steps ...step) *process {
	p := &process{cause: fmt.Sprintf("%026x", t.random.Uint64()), actor: actor, steps: steps}
	p.correlation, p.trace = p.cause, fmt.Sprintf("00-%016x%016x-%016x-01", t.random.Uint64(), t.random.Uint64(), t.random.Uint64())
	t.under = append(t.under, p)
	return p
}

// also begins what follows from the last event of a process and goes on beside it.
func (t *teller) also(p *process, steps ...step) {
	t.under = append(t.under, &process{cause: p.cause, correlation: p.correlation, actor: p.actor, trace: p.trace, steps: steps})
}

const (
	underWay = 40   // processes that are begun by themselves at a time
	mostWay  = 4000 // and with all that follows from them
)

func (t *teller) next() events.Event {
	for {
		if len(t.under) < underWay || len(t.under) < mostWay && t.one(500) {
			t.happen()
			continue
		}
		at := t.random.IntN(len(t.under))
		p := t.under[at]
		if len(p.steps) == 0 {
			t.under[at] = t.under[len(t.under)-1]
			t.under = t.under[:len(t.under)-1]
			continue
		}
		say := p.steps[0]
		p.steps = p.steps[1:]
		if subject, data := say(p); subject != "" {
			return t.say(p, subject, data)
		}
	}
}

var sources = map[events.Aggregate]string{
	events.AggregateWorkload: "/rutter/reconciler", events.AggregateInstance: "/rutter/reconciler", events.AggregateCommand: "/rutter/reconciler",
	events.AggregateLedger: "/rutter/scheduler", events.AggregateUnplaced: "/rutter/scheduler", events.AggregateNode: "/rutter/node-health",
}

func (t *teller) say(p *process, subject events.Subject, data events.Payload) events.Event {
	t.sequence++
	t.now = t.now.Add(time.Duration(t.random.IntN(100_000_000)))
	e := events.Event{
		ID: events.DeriveID(p.cause, subject, int(t.sequence)), Type: data.WireType(), Source: sources[subject.Aggregate()], Subject: subject, Time: t.now,
		Correlation: p.correlation, Causation: p.cause, Actor: p.actor, TraceParent: p.trace, Data: data, Sequence: t.sequence, Recorded: t.now,
	}
	if e.Source == "" {
		e.Source = "/rutter/agentd/" + subject.Node()
	}
	p.cause = e.ID
	return e
}

// happen begins something.
func (t *teller) happen() {
	what := t.random.IntN(100)
	var l *load
	if len(t.loads) > 0 {
		l = t.loads[t.random.IntN(len(t.loads))]
	}
	switch {
	case l == nil, t.alive < t.full && what < 50:
		t.apply()
	case what < 53:
		t.refuse(l)
	case what < 56:
		t.loseNode()
	case l.busy:
		t.trouble()
	case what < 65:
		t.scale(l)
	case what < 70:
		t.rollOut(l)
	case what < 73 || t.alive > t.full:
		t.remove(l)
	default:
		t.trouble()
	}
}

func (t *teller) accepted(kind string, l *load, data any) step {
	return func(p *process) (events.Subject, events.Payload) {
		raw, _ := json.Marshal(data) // plain structs
		return events.CommandSubject(events.ServiceReconciler), command.AcceptedV1{Command: t.record(p, kind, l, raw)}
	}
}

func (t *teller) record(p *process, kind string, l *load, raw json.RawMessage) command.Record {
	m := l.document.Metadata
	return command.Record{
		ID: p.correlation, Type: "run.rutter.workload." + kind + ".v1", Subject: events.WorkloadCommand(m.Namespace, m.Name), Actor: p.actor, Reason: "release of the day",
		Time: t.now, Data: raw,
	}
}

func (t *teller) person() string { return fmt.Sprintf("user:person-%d", t.random.IntN(30)) }

func (l *load) subject() events.Subject {
	return events.WorkloadSubject(l.document.Metadata.Namespace, l.document.Metadata.Name)
}

// applied is the Applied of a workload as it stands now.
func (l *load) applied() events.Payload {
	return workload.AppliedV1{Revision: l.revision, Workload: l.document}
}

func (t *teller) apply() {
	t.named++
	name, replicas := fmt.Sprintf("app-%d", t.named), 1+t.random.IntN(20)
	l := &load{revision: 1, document: Document(name, replicas, func(w *spec.Workload) {
		w.Metadata.Namespace = fmt.Sprintf("team-%d", t.random.IntN(12))
		w.Metadata.Labels = map[string]string{"app": name, "tier": "web"}
		c := &w.Spec.Containers[0]
		c.Image = spec.ImageRef{Registry: "registry.example.com", Repository: "team/" + name, Tag: "1", Digest: "sha256:64b549412d96a13889c97c19e40a45c128e07ecd9e17ad66f1280bd21e4777e6"}
		c.Env = []spec.EnvVar{{Name: "MODE", Value: "production"}, {Name: "REGION", Value: "north"}}
		c.Ports = []spec.Port{{ContainerPort: 8080}}
		c.Resources.Limits = spec.Resources{Memory: 256 << 20}
		if t.one(4) {
			side := *c
			side.Name, side.Ports = "side", nil
			w.Spec.Containers = append(w.Spec.Containers, side)
		}
	})}
	t.loads = append(t.loads, l)
	l.busy = true
	p := t.begin(t.person(), t.accepted("apply", l, workload.ApplyV1{Workload: l.document}),
		func(*process) (events.Subject, events.Payload) { return l.subject(), l.applied() })
	p.steps = append(p.steps, t.fill(l, instance.CauseApplied)...)
}

// fill requests an instance for each slot of a workload that has none.
func (t *teller) fill(l *load, cause instance.Cause) (steps []step) {
	for len(l.slots) < *l.document.Spec.Replicas {
		l.slots = append(l.slots, &attempt{slot: len(l.slots)})
	}
	for slot := range *l.document.Spec.Replicas {
		if l.slots[slot].key.Name == "" {
			steps = append(steps, t.request(l, slot, cause))
		}
	}
	return append(steps, func(*process) (events.Subject, events.Payload) {
		l.busy = false
		return "", nil
	})
}

// request asks for the next attempt of a slot, whose life then goes on by itself.
func (t *teller) request(l *load, slot int, cause instance.Cause) step {
	return func(p *process) (events.Subject, events.Payload) {
		if slot >= len(l.slots) {
			return "", nil // scaled down since
		}
		before := l.slots[slot]
		m := l.document.Metadata
		a := &attempt{slot: slot, n: before.n + 1, spec: l.document.Instance()}
		a.key = events.InstanceKey{Namespace: m.Namespace, Workload: m.Name, Name: events.InstanceName(m.Name, slot, a.n)}
		l.slots[slot] = a
		t.alive++
		t.also(p, t.life(a)...)
		return events.InstanceSubject(a.key), instance.RequestedV1{Slot: slot, Attempt: a.n, Revision: l.revision, Spec: a.spec, Cause: cause, Replaces: before.key.Name}
	}
}

// life is what the scheduler and the agent say of an instance until it runs.
func (t *teller) life(a *attempt) (steps []step) {
	if t.one(30) {
		steps = append(steps, unless(&a.stopping, always(events.UnplacedSubject(a.key), unplaced.UnplaceableV2{
			Nodes: len(t.nodes), Reasons: []unplaced.Reason{{Filter: "resources", Detail: "short of memory", Nodes: len(t.nodes)}},
		})))
	}
	steps = append(steps, unless(&a.stopping, func(*process) (events.Subject, events.Payload) {
		for a.node == nil || a.node.out {
			a.node = t.nodes[t.random.IntN(len(t.nodes))]
		}
		a.node.generation++
		a.generation = a.node.generation
		a.node.holds = append(a.node.holds, a)
		return events.LedgerSubject(a.node.name), ledger.AssignedV2{
			Instance: a.key, Generation: a.generation, Spec: a.spec, Policy: "spread", Considered: len(t.nodes), Fitted: len(t.nodes) - 3,
			Scores: []ledger.Score{{Node: a.node.name, Total: 1_000_973, Parts: map[string]int64{"spread": 1_000_000, "tie": 973}}},
		}
	}))
	steps = append(steps, t.reports(a, report.PullingV1{Images: []spec.ImageRef{a.spec.Containers[0].Image}}), t.reports(a, report.CreatedV1{Addresses: []string{"10.88.3.7"}}))
	for _, c := range a.spec.Containers {
		steps = append(steps, t.starts(a, c.Name, 1))
	}
	if t.one(100) {
		steps = append(steps[:len(steps)-len(a.spec.Containers)], t.reports(a, report.DelayedV1{Reason: "ImagePullBackOff", Message: "the registry does not answer"}))
	}
	return append(steps, t.reports(a, report.HealthyV1{Container: a.spec.Containers[0].Name, Run: 1}))
}

// unless says nothing once something is so.
func unless(so *bool, then step) step {
	return func(p *process) (events.Subject, events.Payload) {
		if *so {
			return "", nil
		}
		return then(p)
	}
}

// reports is what the agent says of an instance that it runs and that nobody wants gone.
func (t *teller) reports(a *attempt, data events.Payload) step {
	return unless(&a.stopping, func(*process) (events.Subject, events.Payload) {
		if a.node == nil || a.node.out {
			return "", nil
		}
		return events.ReportSubject(a.node.name, a.key), data
	})
}

func (t *teller) starts(a *attempt, container string, run int) step {
	return func(p *process) (events.Subject, events.Payload) {
		a.run, a.running = run, true
		return t.reports(a, report.StartedV1{
			Container: container, Run: run, ContainerID: fmt.Sprintf("%s.%s.%s.%d", a.key.Namespace, a.key.Name, container, run), PID: 1000 + t.random.IntN(60_000),
			At: t.now, Addresses: []string{"10.88.3.7"},
		})(p)
	}
}

// stop takes an instance from its wish to its retirement.
func (t *teller) stop(a *attempt, cause instance.Cause) []step {
	pointless := false // somebody else stops it, or there is none
	return []step{
		func(*process) (events.Subject, events.Payload) {
			if a.stopping || a.key.Name == "" {
				pointless = true
				return "", nil
			}
			a.stopping = true
			t.alive--
			return events.InstanceSubject(a.key), instance.StopRequestedV1{Cause: cause, Grace: spec.Duration(10 * time.Second)}
		},
		func(*process) (events.Subject, events.Payload) {
			if a.node == nil || pointless {
				return "", nil
			}
			return events.LedgerSubject(a.node.name), ledger.RevokedV2{Instance: a.key, Generation: a.generation, Cause: cause, Grace: spec.Duration(10 * time.Second)}
		},
		func(*process) (events.Subject, events.Payload) {
			if a.node == nil || !a.running || pointless {
				return "", nil
			}
			return events.ReportSubject(a.node.name, a.key), report.ExitedV1{Container: a.spec.Containers[0].Name, Run: a.run, Code: 143, Signal: 15, At: t.now}
		},
		func(*process) (events.Subject, events.Payload) {
			if a.node == nil || pointless {
				return "", nil
			}
			a.node.holds = slices.DeleteFunc(a.node.holds, func(other *attempt) bool { return other == a })
			return events.ReportSubject(a.node.name, a.key), report.StoppedV1{Outcome: report.OutcomeRevoked}
		},
		func(*process) (events.Subject, events.Payload) {
			if pointless {
				return "", nil
			}
			return events.InstanceSubject(a.key), instance.RetiredV1{Phase: spec.PhaseSucceeded, Message: string(cause)}
		},
	}
}

func (t *teller) refuse(l *load) {
	code := []command.Code{command.CodeConflict, command.CodeInvalid, command.CodeNotFound}[t.random.IntN(3)]
	t.begin(t.person(), func(p *process) (events.Subject, events.Payload) {
		return events.CommandSubject(events.ServiceReconciler), command.RejectedV1{
			Command: t.record(p, "scale", l, json.RawMessage(`{"replicas":-1}`)), Code: code, Message: "replicas: -1: want 0 or more",
		}
	})
}

func (t *teller) scale(l *load) {
	from, to := *l.document.Spec.Replicas, t.random.IntN(20)
	l.document.Spec.Replicas, l.busy = &to, true
	p := t.begin(t.person(), t.accepted("scale", l, workload.ScaleV1{Replicas: to}), always(l.subject(), workload.ScaledV1{From: from, Replicas: to}))
	for _, a := range l.slots[min(to, len(l.slots)):] {
		p.steps = append(p.steps, t.stop(a, instance.CauseScaled)...)
		l.slots[a.slot] = &attempt{slot: a.slot, n: a.n} // its attempts go on climbing when the slot is filled again
	}
	p.steps = append(p.steps, t.fill(l, instance.CauseScaled)...)
}

func (t *teller) rollOut(l *load) {
	l.revision++
	l.document.Spec.Containers = slices.Clone(l.document.Spec.Containers)
	l.document.Spec.Containers[0].Image.Tag, l.busy = fmt.Sprint(l.revision), true
	p := t.begin(t.person(), t.accepted("apply", l, workload.ApplyV1{Workload: l.document}), always(l.subject(), l.applied()))
	for slot, old := range l.slots {
		if old.key.Name != "" {
			p.steps = append(append(p.steps, t.request(l, slot, instance.CauseRolledOut)), t.stop(old, instance.CauseRolledOut)...)
		}
	}
	p.steps = append(p.steps, t.fill(l, instance.CauseApplied)...)
}

func (t *teller) remove(l *load) {
	l.busy = true
	p := t.begin(t.person(), t.accepted("delete", l, workload.DeleteV1{}), always(l.subject(), workload.DeleteRequestedV1{}))
	for _, a := range l.slots {
		p.steps = append(p.steps, t.stop(a, instance.CauseDeleted)...)
	}
	p.steps = append(p.steps, func(*process) (events.Subject, events.Payload) {
		t.loads = slices.DeleteFunc(t.loads, func(other *load) bool { return other == l })
		return l.subject(), workload.DeletedV1{}
	})
}

// trouble lets a container crash or become unhealthy for a while.
func (t *teller) trouble() {
	m := t.nodes[t.random.IntN(len(t.nodes))]
	if m.out || len(m.holds) == 0 {
		return
	}
	a := m.holds[t.random.IntN(len(m.holds))]
	c := a.spec.Containers[0].Name
	if !a.running {
		return
	}
	if t.one(2) {
		t.begin("node:"+m.name, t.reports(a, report.UnhealthyV1{Container: c, Run: a.run, Message: "HTTP 503"}), t.reports(a, report.HealthyV1{Container: c, Run: a.run}))
		return
	}
	t.begin("node:"+m.name,
		t.reports(a, report.ExitedV1{Container: c, Run: a.run, Code: 137, OOM: t.one(2), At: t.now, Ran: spec.Duration(time.Minute)}),
		t.reports(a, report.RestartingV1{Container: c, Run: a.run + 1, NotBefore: t.now.Add(time.Second), Failures: a.run}),
		t.starts(a, c, a.run+1))
}

// loseNode lets a node fall silent; what it held is replaced elsewhere, and it comes back.
func (t *teller) loseNode() {
	m := t.nodes[t.random.IntN(len(t.nodes))]
	if m.out || len(t.nodes) < 2 || t.outNodes()*2 > len(t.nodes) {
		return
	}
	subject := events.NodeSubject(m.name)
	p := t.begin("service:node-health", always(subject, node.SuspectedV1{Silent: spec.Duration(3 * time.Second)}))
	if t.one(2) {
		p.steps = append(p.steps, always(subject, node.ReturnedV1{Incarnation: m.name + "-1"}))
		return
	}
	p.steps = append(p.steps, func(p *process) (events.Subject, events.Payload) {
		m.out = true
		for _, a := range slices.Clone(m.holds) {
			p.steps = append(p.steps, t.replace(a)...)
		}
		p.steps = append(p.steps, func(*process) (events.Subject, events.Payload) {
			m.out = false
			return subject, node.ReturnedV1{Incarnation: m.name + "-1", WasLost: true}
		})
		return subject, node.LostV1{Silent: spec.Duration(10 * time.Second)}
	})
}

func (t *teller) outNodes() (n int) {
	for _, m := range t.nodes {
		if m.out {
			n++
		}
	}
	return n
}

// replace asks for the next attempt of a lost instance's slot, where it still is the slot's.
func (t *teller) replace(a *attempt) []step {
	for _, l := range t.loads {
		if a.slot < len(l.slots) && l.slots[a.slot] == a && !l.busy {
			return append([]step{t.request(l, a.slot, instance.CauseNodeLost)}, t.stop(a, instance.CauseNodeLost)...)
		}
	}
	return nil
}
