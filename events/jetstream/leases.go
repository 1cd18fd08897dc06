package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rutter-run/rutter/events"
)

// Leases implements [events.Leases] on a key-value bucket whose keys run out.
//
// A renewal is a raw publish with the time to live and the expected sequence: the client's Update drops the time to live, and the
// key would then never run out.
type Leases struct{ client *Client }

var _ events.Leases = (*Leases)(nil)

// operationHeader marks a message of the bucket that is not a value.
const operationHeader = "KV-Operation"

// lease is the value of a key.
type lease struct {
	Holder string `json:"holder"`
	Term   string `json:"term"` // drawn anew for every holding, so that a holder knows its own
}

// holding is a lease that was won.
type holding struct {
	name     string
	lease    lease
	sequence uint64    // of the last renewal
	since    time.Time // when that was sent, by the own monotonic clock
}

// Hold implements events.Leases.
func (l *Leases) Hold(ctx context.Context, name, holder string, lead func(context.Context) error) error {
	released := make(chan struct{}, 1)
	sub, err := l.client.nc.Subscribe(leasePrefix+name, func(msg *nats.Msg) {
		var given lease
		if msg.Header.Get(operationHeader) == "" || json.Unmarshal(msg.Data, &given) != nil || given.Holder == holder {
			return
		}
		select {
		case released <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("hold lease %s: %w", name, transport(err, false))
	}
	defer func() { _ = sub.Unsubscribe() }()
	first := true
	for {
		held, err := l.acquire(ctx, name, holder, first)
		// A try that a lost answer or a replica that is a moment behind has spoilt does not count as the first.
		first = first && err != nil && !errors.Is(err, events.ErrExists)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				l.release(held)
			}
			return ctx.Err()
		case err == nil:
			if err := l.lead(ctx, held, lead); err != nil && ctx.Err() == nil {
				l.client.log.WithError(err).WithField("lease", name).Warn("leader ended")
			}
		case errors.Is(err, events.ErrDenied):
			return fmt.Errorf("hold lease %s: %w", name, err)
		}
		// A holder that gives up says so on the subject; one that dies does not.
		wait := l.every()/2 + rand.N(l.every()/2)
		if err != nil && !errors.Is(err, events.ErrExists) {
			wait = min(wait, unreachablePause) // the servers, not another holder, are in the way
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-released:
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// every is the interval of renewals.
func (l *Leases) every() time.Duration { return l.client.lease / 3 }

const (
	// unreachablePause is how soon a lease is tried for again whose servers did not answer.
	unreachablePause = 500 * time.Millisecond
	// acquirePatience is how long one look at a lease may take.
	acquirePatience = 2 * time.Second
)

// acquire takes the lease where nobody holds it; [events.ErrExists] where somebody does. At its first try a process takes over what is held under its own
// name: that is the process before it, which died without giving the lease up. Later tries do not, or two of one name would take it from each other for ever.
func (l *Leases) acquire(ctx context.Context, name, holder string, first bool) (holding, error) {
	ctx, cancel := context.WithTimeout(ctx, acquirePatience)
	defer cancel()
	last, err := l.client.lastMessage(ctx, leaseStream, leasePrefix+name)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		return holding{}, err
	}
	if held, ok := readLease(last); ok && (held.Holder != holder || !first) {
		return holding{}, fmt.Errorf("held by %s: %w", held.Holder, events.ErrExists)
	}
	h := holding{name: name, lease: lease{Holder: holder, Term: nuid.Next()}, sequence: last.sequence}
	return h, l.write(ctx, &h, nil)
}

// readLease takes the lease out of a message. A marker of deletion or expiry is none, nor is what nobody can have written as a lease.
func readLease(m stored) (lease, bool) {
	var held lease
	if m.sequence == 0 || m.header.Get(operationHeader) != "" || m.header.Get(js.MarkerReasonHeader) != "" {
		return held, false
	}
	if err := json.Unmarshal(m.data, &held); err != nil || held.Holder == "" || m.header.Get(js.MsgTTLHeader) == "" {
		return held, false
	}
	return held, true
}

// write stores the lease expecting the sequence of its last renewal, and moves h on where that succeeds.
func (l *Leases) write(ctx context.Context, h *holding, extra nats.Header) error {
	data, err := json.Marshal(h.lease)
	if err != nil {
		return err
	}
	header := nats.Header{
		js.MsgTTLHeader:              {l.client.lease.String()},
		js.ExpectedLastSubjSeqHeader: {strconv.FormatUint(h.sequence, 10)},
	}
	for name, values := range extra {
		header[name] = values
	}
	ctx, cancel := context.WithTimeout(ctx, l.every()/2)
	defer cancel()
	sent := time.Now()
	answer, err := l.client.request(ctx, &nats.Msg{Subject: leasePrefix + h.name, Header: header, Data: data})
	if err != nil {
		return err
	}
	var ack pubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return err
	}
	if ack.Error != nil {
		return ack.Error
	}
	h.sequence, h.since = ack.Sequence, sent
	return nil
}

// lead runs the leader and renews the lease until the leader returns, ctx is done or the lease is lost. However it ends, the leader
// has returned before the lease is given up.
func (l *Leases) lead(ctx context.Context, h holding, lead func(context.Context) error) error {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- lead(leading) }()
	for {
		// The own clock decides, not the server's: the lease is over when its time has passed since the last renewal was sent.
		over := time.NewTimer(time.Until(h.since.Add(l.client.lease)))
		// A renewal that failed is tried again soon: what is elected in the meantime may take most of the lease's time.
		next := time.NewTimer(max(time.Until(h.since.Add(l.every())), l.every()/5))
		lost := false
		select {
		case err := <-ended:
			over.Stop()
			next.Stop()
			l.release(h)
			return err
		case <-over.C:
			lost = true
		case <-next.C:
			lost = !l.renew(leading, &h)
		}
		over.Stop()
		next.Stop()
		if lost {
			stop()
			err := <-ended
			l.release(h) // in case it is still ours
			return errors.Join(fmt.Errorf("lease %s lost: %w", h.name, events.ErrConflict), err)
		}
	}
}

// renew reports whether the lease may still be ours: it is not where somebody else has written it or its time is over.
func (l *Leases) renew(ctx context.Context, h *holding) bool {
	ctx, cancel := context.WithDeadline(ctx, h.since.Add(l.client.lease))
	defer cancel()
	err := l.write(ctx, h, nil)
	if errors.Is(err, events.ErrConflict) {
		// An earlier renewal may have arrived without its answer.
		last, lastErr := l.client.lastMessage(ctx, leaseStream, leasePrefix+h.name)
		if held, ok := readLease(last); lastErr == nil && (!ok || held != h.lease) {
			return false
		}
		if lastErr == nil {
			h.sequence = last.sequence
		}
	}
	return time.Since(h.since) < l.client.lease
}

// release gives the lease up, so that another need not wait until it runs out.
func (l *Leases) release(h holding) {
	ctx, cancel := context.WithTimeout(context.Background(), l.every())
	defer cancel()
	if err := l.write(ctx, &h, nats.Header{operationHeader: {"DEL"}}); err != nil {
		l.client.log.WithError(err).WithField("lease", h.name).Debug("lease not given up")
	}
}

// Holder implements events.Leases.
func (l *Leases) Holder(ctx context.Context, name string) (string, error) {
	last, err := l.client.lastMessage(ctx, leaseStream, leasePrefix+name)
	if errors.Is(err, events.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("holder of lease %s: %w", name, err)
	}
	held, _ := readLease(last)
	return held.Holder, nil
}
