package agentd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/sim"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/sirupsen/logrus"
)

const nodeName = "n1"

// machine is a node whose agent can be ended and begun again; the log goes on.
type machine struct {
	t       *testing.T
	log     *memlog.Log
	dir     string
	runtime runtime.Runtime
	head    uint64 // of the ledger
	given   uint64 // assignments
	stop    func()

	lease    time.Duration // an hour where 0
	patience time.Duration // the agent's own where 0
	reach    error         // of the cluster
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, log: memlog.New(catalog.New()), dir: t.TempDir(), runtime: sim.New(sim.Config{}), stop: func() {}}
	t.Cleanup(func() { m.stop() })
	return m
}

// start begins an agent on the machine.
func (m *machine) start() {
	m.t.Helper()
	logger := logrus.New()
	logger.SetOutput(m.t.Output())
	a, err := New(Config{
		Node: nodeName, Incarnation: fmt.Sprint(time.Now().UnixNano()), DataDir: m.dir, Heartbeat: 10 * time.Millisecond, PartitionLease: cmp.Or(m.lease, time.Hour), ParallelStarts: 2,
	}, m.runtime, Connections{
		Log: m.log, Commands: memlog.NewCommands(catalog.New(), memlog.Faults{}), Heartbeats: memlog.NewHeartbeats(memlog.Faults{}),
		Reach: func(context.Context) error { return m.reach },
	}, logrus.NewEntry(logger))
	if err != nil {
		m.t.Fatal(err)
	}
	a.patience = cmp.Or(m.patience, a.patience)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
		m.stop = func() {}
	}
}

// reboot loses all that a machine keeps in its memory: what ran, namespaces and mounts. The disk stays.
func (m *machine) reboot() {
	m.stop()
	m.runtime = sim.New(sim.Config{})
	m.start()
}

func (m *machine) say(p events.Payload) {
	m.t.Helper()
	subject := events.LedgerSubject(nodeName)
	e := events.Event{ID: events.DeriveID("test", subject, int(m.head)), Type: p.WireType(), Source: "/test", Subject: subject, Time: time.Now(), Data: p}
	last, err := m.log.Append(context.Background(), events.Batch{{Subject: subject, Expect: m.head, Events: []events.Event{e}}})
	if err != nil {
		m.t.Fatal(err)
	}
	m.head = last
}

// assign gives the node an instance that runs an image.
func (m *machine) assign(name, repository string, policy spec.RestartPolicy) ledger.AssignedV2 {
	m.t.Helper()
	m.given++
	a := ledger.AssignedV2{
		Instance: events.InstanceKey{Namespace: "default", Workload: "web", Name: name}, Generation: m.given,
		Spec: spec.InstanceSpec{RestartPolicy: policy, Containers: []spec.Container{{
			Name: "main", Image: spec.ImageRef{Registry: "r.test", Repository: repository, Tag: "1"},
		}}},
	}
	m.say(a)
	return a
}

func (m *machine) revoke(a ledger.AssignedV2) {
	m.t.Helper()
	m.say(ledger.RevokedV2{Instance: a.Instance, Generation: a.Generation, Cause: instance.CauseDeleted})
}

// reports are the types of what was reported of an instance, the oldest first.
func (m *machine) reports(a ledger.AssignedV2) (types []string, all []events.Payload) {
	m.t.Helper()
	err := m.log.Read(context.Background(), events.ReportSubject(nodeName, a.Instance), 0, func(e events.Event) error {
		types, all = append(types, e.Type), append(all, e.Data)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return types, all
}

// count is how many reports are of a type.
func count(types []string, of events.Payload) (n int) {
	for _, one := range types {
		if one == of.WireType() {
			n++
		}
	}
	return n
}

// until waits until so many reports of a type were made of an instance.
func (m *machine) until(a ledger.AssignedV2, p events.Payload, times int) []events.Payload {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		types, all := m.reports(a)
		if count(types, p) >= times {
			return all
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("waited in vain for %d × %s; there is %v", times, p.WireType(), types)
		}
	}
}

// TestARebootedMachineRunsItsInstancesAgain: with the agent's store from before and nothing else.
func TestARebootedMachineRunsItsInstancesAgain(t *testing.T) {
	m := newMachine(t)
	m.start()
	always, never := m.assign("web-0-1", "web", spec.RestartAlways), m.assign("web-1-1", "web", spec.RestartNever)
	m.until(always, report.StartedV1{}, 1)
	m.until(never, report.StartedV1{}, 1)
	m.reboot()
	m.until(always, report.CreatedV1{}, 2)
	all := m.until(always, report.StartedV1{}, 2)
	if last := all[len(all)-1].(report.StartedV1); last.Run != 2 {
		t.Errorf("it runs as %+v, want run 2", last)
	}
	if types, _ := m.reports(always); count(types, report.ExitedV1{}) != 1 {
		t.Errorf("nothing says that the first run ended: %v", types)
	}
	m.until(never, report.StoppedV1{}, 1)
	if types, _ := m.reports(never); count(types, report.StartedV1{}) != 1 || count(types, report.ExitedV1{}) != 1 {
		t.Errorf("what is not to run again: %v", types)
	}
	m.revoke(always)
	m.until(always, report.StoppedV1{}, 1)
	if left, err := m.runtime.ListSandboxes(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestAStalledRegistryHoldsNobody: neither the other instances nor the deletion of its own.
func TestAStalledRegistryHoldsNobody(t *testing.T) {
	m := newMachine(t)
	m.start()
	var stalled []ledger.AssignedV2
	for i := range 5 { // more than are started at once
		stalled = append(stalled, m.assign(fmt.Sprintf("web-%d-1", i), "stalled", spec.RestartAlways))
	}
	for _, a := range stalled {
		m.until(a, report.PullingV1{}, 1)
	}
	m.until(m.assign("web-9-1", "web", spec.RestartAlways), report.StartedV1{}, 1)
	for _, a := range stalled {
		m.revoke(a)
	}
	for _, a := range stalled {
		m.until(a, report.StoppedV1{}, 1)
	}
}

// fickle loses things of a machine that runs.
type fickle struct {
	runtime.Runtime
	errs chan error // of the next Creates
}

func (f *fickle) Create(ctx context.Context, c runtime.ContainerConfig) error {
	select {
	case err := <-f.errs:
		return fmt.Errorf("create %s: %w", c.ID, err)
	default:
		return f.Runtime.Create(ctx, c)
	}
}

// TestWhatIsMissingIsMadeAgain: an image that was removed or is damaged, a sandbox that is not whole.
func TestWhatIsMissingIsMadeAgain(t *testing.T) {
	for name, test := range map[string]struct {
		missing   error
		sandboxes int
	}{
		"image":   {runtime.ErrImageMissing, 1},
		"sandbox": {runtime.ErrSandboxBroken, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			f := &fickle{Runtime: m.runtime, errs: make(chan error, 1)}
			f.errs <- test.missing
			m.runtime = f
			m.start()
			a := m.assign("web-0-1", "web", spec.RestartAlways)
			m.until(a, report.StartedV1{}, 1)
			if types, _ := m.reports(a); count(types, report.CreatedV1{}) != test.sandboxes {
				t.Errorf("want %d sandboxes: %v", test.sandboxes, types)
			}
		})
	}
}

// deaf does not hear the end of containers, nor sees how they are, so many times.
type deaf struct {
	runtime.Runtime
	waits, looks atomic.Int32
}

func (d *deaf) Wait(ctx context.Context, id string) (runtime.Status, error) {
	if d.waits.Add(-1) >= 0 {
		return runtime.Status{}, errors.New("too many open files")
	}
	return d.Runtime.Wait(ctx, id)
}

func (d *deaf) Status(ctx context.Context, id string) (runtime.Status, error) {
	if d.looks.Add(-1) >= 0 {
		return runtime.Status{}, errors.New("too many open files")
	}
	return d.Runtime.Status(ctx, id)
}

// TestAnEndIsHeardAfterTroubleWithListening: a runtime that fails for a moment has not removed what runs.
func TestAnEndIsHeardAfterTroubleWithListening(t *testing.T) {
	m := newMachine(t)
	simulated := m.runtime.(*sim.Runtime)
	d := &deaf{Runtime: simulated}
	d.waits.Store(2)
	d.looks.Store(1)
	m.runtime = d
	m.start()
	a := m.assign("web-0-1", "web", spec.RestartAlways)
	all := m.until(a, report.StartedV1{}, 1)
	simulated.Kill(all[len(all)-1].(report.StartedV1).ContainerID)
	m.until(a, report.ExitedV1{}, 1)
}

// hung never comes to an end with the first sandboxes it is asked for, until it is told not to wait for it.
type hung struct {
	runtime.Runtime
	times atomic.Int32
}

func (h *hung) CreateSandbox(ctx context.Context, c runtime.SandboxConfig) (runtime.Sandbox, error) {
	if h.times.Add(-1) >= 0 {
		<-ctx.Done()
		return runtime.Sandbox{}, fmt.Errorf("CNI ADD for %s: %w", c.Instance, ctx.Err())
	}
	return h.Runtime.CreateSandbox(ctx, c)
}

// TestAPluginThatHangsHoldsNobody: as many hang as may start at once; all are tried again, and what waited for its turn has it.
func TestAPluginThatHangsHoldsNobody(t *testing.T) {
	m := newMachine(t)
	h := &hung{Runtime: m.runtime}
	h.times.Store(2)
	m.runtime, m.patience = h, time.Second
	m.start()
	var all []ledger.AssignedV2
	for i := range 3 {
		all = append(all, m.assign(fmt.Sprintf("web-%d-1", i), "web", spec.RestartAlways))
	}
	delayed := 0
	for _, a := range all {
		m.until(a, report.StartedV1{}, 1)
		types, _ := m.reports(a)
		delayed += count(types, report.DelayedV1{})
	}
	if delayed == 0 {
		t.Error("none is reported as delayed")
	}
}

// TestAPullIsGivenUpOnACutOffNode where the instance is not to run there.
func TestAPullIsGivenUpOnACutOffNode(t *testing.T) {
	m := newMachine(t)
	m.lease, m.reach = time.Second, errors.New("cut off")
	m.start()
	m.given++
	a := ledger.AssignedV2{
		Instance: events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}, Generation: m.given,
		Spec: spec.InstanceSpec{OnPartition: spec.PartitionStop, Containers: []spec.Container{{
			Name: "main", Image: spec.ImageRef{Registry: "r.test", Repository: "stalled", Tag: "1"},
		}}},
	}
	m.say(a)
	m.until(a, report.StoppedV1{}, 1)
}

// blind does not list what runs.
type blind struct{ deaf }

func (b *blind) List(context.Context) ([]runtime.Status, error) {
	return nil, fmt.Errorf("list containers: %w: too many open files", runtime.ErrUnseen)
}

// TestWhatCouldNotBeLookedAtHasNotEnded: an agent that does not see a run at its start looks for it until it does, and the node goes on meanwhile.
func TestWhatCouldNotBeLookedAtHasNotEnded(t *testing.T) {
	m := newMachine(t)
	m.start()
	a := m.assign("web-0-1", "web", spec.RestartNever)
	all := m.until(a, report.StartedV1{}, 1)
	id := all[len(all)-1].(report.StartedV1).ContainerID
	m.stop()

	simulated := m.runtime.(*sim.Runtime)
	b := &blind{}
	b.Runtime = simulated
	b.looks.Store(2)
	m.runtime = b
	m.start()
	m.until(m.assign("web-1-1", "web", spec.RestartAlways), report.StartedV1{}, 1)
	simulated.Kill(id)
	for _, p := range m.until(a, report.StoppedV1{}, 1) {
		if exit, ok := p.(report.ExitedV1); ok && exit.Code != 137 {
			t.Errorf("its end is reported as %+v, want that by the signal", exit)
		}
	}
}
