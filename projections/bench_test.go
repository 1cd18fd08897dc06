package projections_test

import (
	"fmt"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

// wired is an event as it comes over the wire.
type wired struct {
	subject string
	header  cloudevent.Header
	data    []byte
}

// overTheWire is a history as it comes over the wire.
func overTheWire(b *testing.B, n int) []wired {
	b.Helper()
	all := make([]wired, 0, n)
	for e := range (projectionstest.History{Seed: 1, Nodes: 200}).Events(n) {
		header, data, err := cloudevent.EncodeEvent(e)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, wired{string(e.Subject), header, data})
	}
	return all
}

// BenchmarkDecode is what an event costs from its headers and bytes to what the fold takes.
func BenchmarkDecode(b *testing.B) {
	all := overTheWire(b, 20_000)
	decoder := cloudevent.NewDecoder(catalog.New())
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		m := all[n%len(all)]
		n++
		if e := decoder.Event(m.subject, m.header, m.data); e.ID == "" {
			b.Fatal("no event")
		}
	}
}

// BenchmarkApply is what folding a decoded event costs.
func BenchmarkApply(b *testing.B) {
	decoder := cloudevent.NewDecoder(catalog.New())
	var all []events.Event
	for n, m := range overTheWire(b, 20_000) {
		e := decoder.Event(m.subject, m.header, m.data)
		e.Sequence = uint64(n + 1)
		all = append(all, e)
	}
	b.ReportAllocs()
	n, state := 0, projections.NewState()
	for b.Loop() {
		if n == len(all) {
			n, state = 0, projections.NewState()
		}
		state.Apply(all[n])
		n++
	}
}

// large is a cluster of 10,000 nodes and 100,000 instances.
func large(b *testing.B) *projections.State {
	b.Helper()
	state, sequence := projections.NewState(), uint64(0)
	say := func(subject events.Subject, data events.Payload) {
		sequence++
		state.Apply(events.Event{
			ID: events.DeriveID("bench", subject, int(sequence)), Type: data.WireType(), Source: "/test", Subject: subject, Time: projectionstest.Start, Data: data, Sequence: sequence,
		})
	}
	// The made-up cluster has the nodes; what runs on them is placed evenly.
	for e := range (projectionstest.History{Nodes: 10_000, PerNode: 1}).Events(20_000) {
		say(e.Subject, e.Data)
	}
	for w := range 1000 {
		name := fmt.Sprintf("load-%d", w)
		document := projectionstest.Document(name, 100)
		say(events.WorkloadSubject("default", name), workload.AppliedV1{Revision: 1, Workload: document})
		for slot := range 100 {
			say(events.InstanceSubject(projectionstest.Key(name, slot, 1)), instance.RequestedV1{Slot: slot, Attempt: 1, Revision: 1, Spec: document.Instance(), Cause: instance.CauseApplied})
		}
	}
	return state
}

// BenchmarkView is what an event and a view after it cost at 10,000 nodes and 100,000 instances.
func BenchmarkView(b *testing.B) {
	for _, every := range []int{1, 100, 1 << 30} {
		name := fmt.Sprintf("every=%d", every)
		if every == 1<<30 {
			name = "never"
		}
		b.Run(name, func(b *testing.B) {
			state := large(b)
			b.ReportAllocs()
			n := 0
			var view *projections.Cluster
			for b.Loop() {
				n++
				k := projectionstest.Key(fmt.Sprintf("load-%d", n*7919%1000), n%100, 1)
				state.Apply(events.Event{ID: "e", Subject: events.InstanceSubject(k), Data: instance.StopRequestedV1{Cause: instance.CauseScaled}, Sequence: uint64(200_000 + n)})
				if n%every == 0 {
					view = state.View()
				}
			}
			_ = view
		})
	}
}

// BenchmarkHash is what the hash costs there: of a state never seen, and of one after a thousand further events.
func BenchmarkHash(b *testing.B) {
	state := large(b)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			_ = state.View().Hash()
		}
	})
	b.Run("again", func(b *testing.B) {
		var h projections.Hasher
		h.Hash(state.View())
		n := 0
		for b.Loop() {
			for range 1000 {
				n++
				k := projectionstest.Key(fmt.Sprintf("load-%d", n*7919%1000), n%100, 1)
				state.Apply(events.Event{ID: "e", Subject: events.InstanceSubject(k), Data: instance.StopRequestedV1{Cause: instance.CauseScaled}, Sequence: uint64(200_000 + n)})
			}
			h.Hash(state.View())
		}
	})
}
