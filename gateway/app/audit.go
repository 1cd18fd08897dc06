package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Checkpoint is what the auditor last signed.
func (a *App) Checkpoint(ctx context.Context) (api.Checkpoint, error) {
	c, signed, err := a.newest(ctx)
	if err != nil {
		return api.Checkpoint{}, err
	}
	alarm, err := audit.Alarm(ctx, a.Vault)
	if err != nil {
		return api.Checkpoint{}, err
	}
	return api.Checkpoint{Note: string(signed), Origin: c.Origin, Size: uint64(c.Size), Root: base64Of(c.Root), Alarm: alarm}, nil
}

// newest is the newest checkpoint. Whoever asks checks its signature: the gateway has no say in it.
func (a *App) newest(ctx context.Context) (audit.Checkpoint, []byte, error) {
	if a.Vault == nil {
		return audit.Checkpoint{}, nil, notFound("nothing is audited here: this gateway shows a copy of a log")
	}
	signed, err := audit.Newest(ctx, a.Vault)
	if errors.Is(err, events.ErrNotFound) {
		return audit.Checkpoint{}, nil, notFound("no checkpoint is signed yet: does `rutter auditor` run?")
	}
	if err != nil {
		return audit.Checkpoint{}, nil, err
	}
	c, err := audit.Read(signed)
	return c, signed, err
}

// checkpointPoll is how often it is looked whether the auditor has caught up.
const checkpointPoll = 100 * time.Millisecond

// covering is the newest checkpoint once it covers a sequence, or when the wait that is allowed is over whatever there is.
func (a *App) covering(ctx context.Context, sequence uint64, patience time.Duration) (audit.Checkpoint, []byte, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(checkpointPoll)
	defer ticker.Stop()
	for {
		c, signed, err := a.newest(ctx)
		if err != nil || uint64(c.Size) >= sequence {
			return c, signed, err
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
			return c, signed, ctx.Err()
		}
	}
}

// signPatience is how long a request waits for the auditor to sign what has just happened.
const signPatience = 5 * time.Second

// Prove proves that an event, by its sequence or its id, stands in the newest checkpoint's tree.
func (a *App) Prove(ctx context.Context, event string) (api.InclusionProof, error) {
	r, err := a.recordOf(ctx, event)
	if err != nil {
		return api.InclusionProof{}, err
	}
	c, signed, err := a.covering(ctx, r.Sequence, signPatience)
	if err != nil {
		return api.InclusionProof{}, err
	}
	if uint64(c.Size) < r.Sequence {
		return api.InclusionProof{}, &NotReadyError{What: fmt.Sprintf("event %d is not signed yet: the newest checkpoint covers 1 to %d", r.Sequence, c.Size)}
	}
	proof, leaf, err := audit.Prove(ctx, a.Vault, c, r.Sequence)
	if err != nil {
		return api.InclusionProof{}, err
	}
	line := cloudevent.AppendLine(nil, r)
	if leaf != tlog.RecordHash(line) {
		return api.InclusionProof{}, fmt.Errorf("event %d is not what was signed: %w", r.Sequence, audit.ErrForked)
	}
	id := ""
	if values := r.Header["ce-id"]; len(values) > 0 {
		id = values[0]
	}
	return api.InclusionProof{
		Sequence: r.Sequence, ID: id, Line: string(line), Leaf: base64Of(leaf), Proof: base64s(proof), Checkpoint: string(signed),
	}, nil
}

// recordOf finds an event by its sequence or its id.
func (a *App) recordOf(ctx context.Context, event string) (events.Record, error) {
	sequence, err := strconv.ParseUint(event, 10, 64)
	if err != nil {
		if sequence, err = a.sequenceOfID(ctx, event); err != nil {
			return events.Record{}, err
		}
	}
	last, err := a.Log.Last(ctx)
	if err != nil {
		return events.Record{}, err
	}
	if sequence == 0 || sequence > last {
		return events.Record{}, notFound("there is no event %d: the log has 1 to %d", sequence, last)
	}
	var found events.Record
	err = a.Records.Records(ctx, sequence, func(r events.Record, _ uint64) error {
		found = r
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		return events.Record{}, fmt.Errorf("read event %d: %w", sequence, err)
	}
	if found.Sequence != sequence {
		return events.Record{}, notFound("there is no event %d in the log any more: it goes on with %d", sequence, found.Sequence)
	}
	return found, nil
}

// sequenceOfID finds the event with an id.
func (a *App) sequenceOfID(ctx context.Context, id string) (sequence uint64, err error) {
	if id == "" {
		return 0, spec.Errors{{Field: "event", Want: "a sequence, or the id of an event"}}
	}
	if err := a.trailAtEnd(ctx); err != nil {
		return 0, err
	}
	err = a.fetch(ctx, a.trail.withID(id), func(e events.Event) error {
		if e.ID == id {
			sequence = e.Sequence
			return errEnough
		}
		return nil
	})
	if err == nil && sequence == 0 {
		err = notFound("there is no event with the id %s", id)
	}
	return sequence, err
}

// Consistency proves that the log of so many events only adds to the log of fewer. later 0: what the newest checkpoint covers.
func (a *App) Consistency(ctx context.Context, older, later uint64) (api.ConsistencyProof, error) {
	c, signed, err := a.covering(ctx, later, signPatience)
	if err != nil {
		return api.ConsistencyProof{}, err
	}
	if later == 0 {
		later = uint64(c.Size)
	}
	if older == 0 || older > later || later > uint64(c.Size) {
		return api.ConsistencyProof{}, spec.Errors{{Field: "old", Value: fmt.Sprintf("%d, new %d", older, later),
			Want: fmt.Sprintf("two sizes of the log, the older first, of at most %d, which the newest checkpoint covers", c.Size)}}
	}
	p, err := audit.ProveBetween(ctx, a.Vault, c, int64(older), int64(later))
	if err != nil {
		return api.ConsistencyProof{}, err
	}
	return api.ConsistencyProof{
		Old: older, OldRoot: base64Of(p.OldRoot), New: later, NewRoot: base64Of(p.NewRoot), Proof: base64s(p.Proof), Checkpoint: string(signed),
	}, nil
}

func base64Of(h tlog.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

func base64s(hashes []tlog.Hash) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = base64Of(h)
	}
	return out
}
