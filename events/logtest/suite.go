package logtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Fixture is one store, reached over as many connections as a test asks for. What other tests left in it stays in it.
type Fixture struct {
	Log        func(t *testing.T) events.LiveLog
	Commands   func(t *testing.T) events.Commands
	Leases     func(t *testing.T) events.Leases
	Heartbeats func(t *testing.T) events.Heartbeats
	Vault      func(t *testing.T) events.Vault
	Snapshots  func(t *testing.T) events.Snapshots
	// Fingerprints reach all who hear.
	Fingerprints func(t *testing.T) events.Fingerprints
	Node         string // whose log it is: it takes reports of this node and nothing else; empty: it takes everything
}

type suite struct {
	name  string
	cases map[string]func(*testing.T, Fixture)
}

// Run holds an implementation to the interfaces of package events.
func Run(t *testing.T, f Fixture) {
	f.run(t, suite{"Append", appendCases}, suite{"Race", raceCases}, suite{"Follow", followCases}, suite{"Read", readCases}, suite{"Select", selectCases},
		suite{"Extent", extentCases}, suite{"Subscribe", subscribeCases}, suite{"Commands", commandCases}, suite{"Leases", leaseCases},
		suite{"Heartbeats", heartbeatCases}, suite{"Records", recordCases}, suite{"Vault", vaultCases},
		suite{"Snapshots", snapshotCases}, suite{"Fingerprints", fingerprintCases})
}

// RunNode holds the log as a node has it to what the interface says of appending and of reading one subject.
func RunNode(t *testing.T, f Fixture) {
	f.run(t, suite{"Append", appendCases}, suite{"Race", raceCases}, suite{"Read", readCases})
}

func (f Fixture) run(t *testing.T, suites ...suite) {
	for _, s := range suites {
		for name, run := range s.cases {
			t.Run(s.name+"/"+name, func(t *testing.T) { run(t, f) })
		}
	}
}

// unique numbers names, so that tests on one store do not meet.
var unique atomic.Int64

// Name is a name that no other test has.
func Name(prefix string) string { return fmt.Sprintf("%s-%d", prefix, unique.Add(1)) }

// Subject is the subject of a node that no other test has.
func Subject() events.Subject { return events.NodeSubject(Name("n")) }

// Gather reads a subject's whole history.
func Gather(t testing.TB, log events.Log, subject events.Subject, from uint64) []events.Event {
	t.Helper()
	var all []events.Event
	err := log.Read(Context(t), subject, from, func(e events.Event) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", subject, err)
	}
	return all
}

// IDs are the ids of events.
func IDs(all []events.Event) []string {
	ids := make([]string, len(all))
	for i, e := range all {
		ids[i] = e.ID
	}
	return ids
}

// Receive waits for one value.
func Receive[T any](t testing.TB, ctx context.Context, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-ctx.Done():
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// Eventually repeats a question until its answer is yes. Use it only where nothing says when.
func Eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	const pause = 10 * time.Millisecond
	for end := time.Now().Add(Deadline); !yes(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
