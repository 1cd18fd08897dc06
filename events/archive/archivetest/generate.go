// Package archivetest makes logs and exports of them for tests and benchmarks.
package archivetest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// Begin is when the first event of a generated log was stored; each further one is a millisecond later.
var Begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Records are the first n events of a log of 100 nodes that take and run instances. They are always the same.
func Records(n int) iter.Seq[events.Record] {
	return func(yield func(events.Record) bool) {
		for i := range n {
			if !yield(record(i)) {
				return
			}
		}
	}
}

func record(i int) events.Record {
	name := fmt.Sprintf("node-%03d", i%100)
	k := events.InstanceKey{Namespace: "default", Workload: fmt.Sprintf("web-%d", i%37), Name: fmt.Sprintf("web-%d-%d-%d", i%37, i%11, i/407+1)}
	at := Begin.Add(time.Duration(i) * time.Millisecond)
	e := events.Event{Source: "/rutter/scheduler", Actor: "user:ada", Time: at}
	switch i % 4 {
	case 0:
		image := spec.ImageRef{Registry: "registry.example.com", Repository: "shop/web", Tag: "1.27"}
		e.Subject, e.Data = events.LedgerSubject(name), ledger.AssignedV2{
			Instance: k, Generation: uint64(i), Considered: 100, Fitted: 93,
			Scores: []ledger.Score{{Node: name, Total: int64(i * 7 % 1000), Parts: map[string]int64{"binpack": int64(i % 50), "spread": 100}}},
			Spec:   spec.InstanceSpec{Containers: []spec.Container{{Name: "main", Image: image, Env: []spec.EnvVar{{Name: "MODE", Value: "production"}}}}},
		}
	case 1:
		e.Subject, e.Data = events.ReportSubject(name, k), report.CreatedV1{}
	case 2:
		e.Subject, e.Data = events.ReportSubject(name, k), report.StartedV1{Container: "main", Run: 1 + i%3, PID: 1000 + i}
	default:
		e.Subject, e.Data = events.NodeSubject(name), node.NotReadyV1{Message: "disk is “full”: 97 % of /var"}
	}
	e.Type = e.Data.WireType()
	e.ID = events.DeriveID(fmt.Sprint(i), e.Subject, 0)
	e.Correlation, e.Causation = e.ID, events.DeriveID(fmt.Sprint(i-1), e.Subject, 0)
	header, data, err := cloudevent.EncodeEvent(e)
	if err != nil {
		panic(err) // the events above always encode
	}
	return events.Record{Subject: e.Subject, Header: header, Data: data, Sequence: uint64(i) + 1, Recorded: at.Add(400 * time.Microsecond)}
}

// Key is a key of a log, the same for the life of the process.
type Key struct {
	Signer   note.Signer
	Verifier note.Verifier
	Public   string // the verifier's text
}

// NewKey draws one.
func NewKey() (Key, error) {
	skey, vkey, err := audit.NewKey()
	if err != nil {
		return Key{}, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return Key{}, err
	}
	verifier, err := audit.ParseVerifier(vkey)
	return Key{signer, verifier, vkey}, err
}

// Signed is a vault with the tree of records, and its checkpoint.
func (k Key) Signed(records iter.Seq[events.Record]) (*memlog.Vault, audit.Checkpoint, []byte, error) {
	vault := memlog.NewVault()
	store, err := audit.OpenStore(context.Background(), vault, k.Signer, k.Verifier, "test")
	if err != nil {
		return nil, audit.Checkpoint{}, nil, err
	}
	for r := range records {
		store.Tree.Append(audit.Leaf(r))
	}
	if err := store.Sign(context.Background()); err != nil {
		return nil, audit.Checkpoint{}, nil, err
	}
	return vault, store.Signed, store.Note, nil
}

// Export writes records as an export with the header, whose first and last are theirs.
func Export(out io.Writer, h archive.Header, records iter.Seq[events.Record]) error {
	w, err := archive.NewWriter(out, h)
	if err != nil {
		return err
	}
	for r := range records {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	return w.Close()
}
