package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

var idempotencyKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// decide sends a command and waits for its outcome. Where none comes in time the operation is pending. A rejection is an error.
func (a *App) decide(ctx context.Context, by Caller, subject string, data events.Payload) (api.Operation, *projections.Cluster, error) {
	c, err := a.command(by, subject, data)
	if err != nil {
		return api.Operation{}, nil, err
	}
	if _, decided := a.View.View().Outcome(c.ID); !decided {
		if before, ok := a.pending.get(c.ID); ok {
			if err := sameRequest(command.RecordOf(before), c); err != nil {
				return api.Operation{}, nil, err
			}
		}
		a.pending.add(c)
		if err := a.send(ctx, c); err != nil {
			a.pending.remove(c.ID)
			return api.Operation{}, nil, fmt.Errorf("send %s: %w", data.Line(), err)
		}
	}
	outcome, view, err := a.awaitOutcome(ctx, c.ID)
	if err != nil {
		return api.Operation{}, nil, err
	}
	if outcome == nil {
		return pendingOperation(c), view, nil
	}
	a.pending.remove(c.ID)
	// Another gateway may have sent another command under the same key: the log keeps the first.
	if err := sameRequest(outcome.Command, c); err != nil {
		return api.Operation{}, nil, err
	}
	if !outcome.Accepted {
		return operationOf(outcome), view, &Rejection{
			Code: outcome.Code, Message: outcome.Message, Service: outcome.Service, Operation: c.ID,
		}
	}
	return operationOf(outcome), view, nil
}

const (
	sendTry   = 2 * time.Second        // how long one try to send a command may take
	sendPause = 100 * time.Millisecond // between tries
)

// send sends a command, again and again under the same id while the log elects a leader, for as long as SendWait. A command of which it is
// not known whether it was stored may be decided meanwhile: then it was.
func (a *App) send(ctx context.Context, c events.Command) error {
	patience, cancel := context.WithTimeout(ctx, a.SendWait)
	defer cancel()
	for {
		once, end := context.WithTimeout(patience, sendTry)
		err := a.Commands.Send(once, c)
		end()
		if err == nil {
			return nil
		}
		if !errors.Is(err, events.ErrUnavailable) && !errors.Is(err, events.ErrUnknown) && !errors.Is(err, events.ErrBusy) {
			return err
		}
		if _, decided := a.View.View().Outcome(c.ID); decided {
			return nil
		}
		select {
		case <-patience.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		case <-time.After(sendPause):
		}
	}
}

func (a *App) command(by Caller, subject string, data events.Payload) (events.Command, error) {
	id := by.IdempotencyKey
	if id == "" {
		id = strings.ToLower(rand.Text())
	} else if !idempotencyKey.MatchString(id) {
		return events.Command{}, spec.Errors{{Field: "Idempotency-Key", Value: id, Want: "1 to 128 letters, digits, '.', '_', ':' and '-', starting with a letter or digit"}}
	}
	return events.Command{
		ID: id, Type: data.WireType(), Subject: subject, Actor: by.Actor, Reason: by.Reason,
		Time: a.Clock().UTC(), Correlation: id, TraceParent: by.TraceParent, Data: data,
	}, nil
}

// awaitOutcome waits for the outcome of a command in the view; nil where none came within the wait that is allowed.
func (a *App) awaitOutcome(ctx context.Context, id string) (*projections.Outcome, *projections.Cluster, error) {
	waiting, cancel := context.WithTimeout(ctx, a.DecisionWait)
	defer cancel()
	for {
		changed := a.View.Changed()
		view := a.View.View()
		if o, ok := view.Outcome(id); ok {
			return o, view, nil
		}
		select {
		case <-changed:
		case <-waiting.Done():
			return nil, view, ctx.Err() // the caller's own end is an error, the end of patience is not
		}
	}
}

// sameRequest refuses an idempotency key that was used for something else. Digests may differ: a tag can have moved in between.
func sameRequest(before command.Record, now events.Command) error {
	if before.Type == now.Type && before.Subject == now.Subject && sameData(before, command.RecordOf(now)) {
		return nil
	}
	return refuse(events.ErrConflict, "idempotency key %s was used before, for another request (%s of %s by %s): use a new key",
		now.ID, before.Type, before.Subject, before.Actor)
}

func sameData(before, now command.Record) bool {
	if before.Omitted != nil {
		return *before.Omitted == *now.Abridged().Omitted
	}
	return bytes.Equal(withoutDigests(before.Data), withoutDigests(now.Data))
}

func withoutDigests(data json.RawMessage) []byte {
	var apply workload.ApplyV1
	if json.Unmarshal(data, &apply) != nil || apply.Workload.Kind == "" {
		return data
	}
	for i := range apply.Workload.Spec.Containers {
		if image := &apply.Workload.Spec.Containers[i].Image; image.Tag != "" {
			image.Digest = ""
		}
	}
	plain, err := json.Marshal(apply)
	if err != nil {
		return data
	}
	return plain
}

// Operation is a command and what became of it.
func (r Reading) Operation(id string) (api.Operation, error) {
	if o, ok := r.view.Outcome(id); ok {
		return operationOf(o), nil
	}
	if c, ok := r.app.pending.get(id); ok && !r.past {
		return pendingOperation(c), nil
	}
	return api.Operation{}, notFound("operation %s is not known to this gateway: it was never asked for, or so long ago that only `rutter events` has it", id)
}

// Operations lists the remembered commands, pending ones first, then newest first.
func (r Reading) Operations(page Page) (api.List[api.Operation], error) {
	limit, err := page.limit()
	if err != nil {
		return api.List[api.Operation]{}, err
	}
	after, err := page.after()
	if err != nil {
		return api.List[api.Operation]{}, err
	}
	view := r.view
	list := api.List[api.Operation]{Items: []api.Operation{}, Sequence: view.Sequence()}
	// add reports whether the page takes more. Tens of thousands of outcomes are remembered: only a page of them becomes documents.
	add := func(key string, operation func() api.Operation) bool {
		switch {
		case key <= after:
		case len(list.Items) == limit:
			list.Continue = continueAfter(operationKey(list.Items[limit-1]))
			return false
		default:
			list.Items = append(list.Items, operation())
		}
		return true
	}
	for _, c := range r.app.pending.list() {
		if _, decided := view.Outcome(c.ID); decided || r.past {
			continue
		}
		if o := pendingOperation(c); !add(operationKey(o), func() api.Operation { return o }) {
			return list, nil
		}
	}
	for o := range view.Outcomes() {
		if !add(decidedKey(o.Mark.Sequence), func() api.Operation { return operationOf(o) }) {
			break
		}
	}
	return list, nil
}

// operationKey sorts pending operations first and newer ones before older ones.
func operationKey(o api.Operation) string {
	if o.State == api.OperationPending {
		return fmt.Sprintf("0/%020d/%s", math.MaxInt64-o.Asked.UnixNano(), o.ID)
	}
	return decidedKey(o.Sequence)
}

func decidedKey(sequence uint64) string {
	return fmt.Sprintf("1/%020d", uint64(math.MaxUint64)-sequence)
}

func pendingOperation(c events.Command) api.Operation {
	record := command.RecordOf(c)
	return api.Operation{
		ID: c.ID, State: api.OperationPending, Type: c.Type, Subject: c.Subject, Actor: c.Actor, Reason: c.Reason,
		Asked: c.Time, Data: record.Data,
	}
}

func operationOf(o *projections.Outcome) api.Operation {
	state := api.OperationAccepted
	if !o.Accepted {
		state = api.OperationRejected
	}
	return api.Operation{
		ID: o.Command.ID, State: state, Type: o.Command.Type, Subject: o.Command.Subject, Actor: o.Command.Actor,
		Reason: o.Command.Reason, Asked: o.Command.Time, Decided: o.Mark.Time, Service: o.Service, Sequence: o.Mark.Sequence,
		Events: o.Events, Code: string(o.Code), Message: o.Message, Data: o.Command.Data,
	}
}

// pendingCommands remembers what this gateway has sent and not yet seen decided.
type pendingCommands struct {
	mu   sync.Mutex
	byID map[string]events.Command
	ids  []string // oldest first
}

// mostPending bounds the memory: commands that nobody ever decides must not fill it.
const mostPending = 4096

func newPendingCommands() *pendingCommands {
	return &pendingCommands{byID: map[string]events.Command{}}
}

func (p *pendingCommands) add(c events.Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byID[c.ID]; !ok {
		p.ids = append(p.ids, c.ID)
	}
	p.byID[c.ID] = c
	for len(p.ids) > mostPending {
		delete(p.byID, p.ids[0])
		p.ids = p.ids[1:]
	}
}

func (p *pendingCommands) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byID[id]; !ok {
		return
	}
	delete(p.byID, id)
	for i, known := range p.ids {
		if known == id {
			p.ids = append(p.ids[:i:i], p.ids[i+1:]...)
			break
		}
	}
}

func (p *pendingCommands) get(id string) (events.Command, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.byID[id]
	return c, ok
}

func (p *pendingCommands) list() []events.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]events.Command, 0, len(p.ids))
	for i := len(p.ids) - 1; i >= 0; i-- {
		all = append(all, p.byID[p.ids[i]])
	}
	return all
}
