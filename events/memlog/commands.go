package memlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Commands implements [events.Commands] in memory.
type Commands struct {
	registry *events.Registry
	faults   Faults

	mu      sync.Mutex
	pending []*pending // in the order sent; what was acknowledged is taken out
	ids     map[string]bool
	changed chan struct{}
}

// pending is a command that is not acknowledged.
type pending struct {
	command   events.Command
	attempts  int
	notBefore time.Time // of its next delivery
	done      bool
}

var _ events.Commands = (*Commands)(nil)

// NewCommands makes an empty command stream. With a registry commands take the way over the wire form and back.
func NewCommands(registry *events.Registry, faults Faults) *Commands {
	return &Commands{registry: registry, faults: faults, ids: map[string]bool{}, changed: make(chan struct{})}
}

// Send implements events.Commands.
func (c *Commands) Send(ctx context.Context, command events.Command) error {
	if command.Type == "" && command.Data != nil {
		command.Type = command.Data.WireType()
	}
	if err := command.Validate(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send: %w: %w", events.ErrUnavailable, err)
	}
	if c.registry != nil {
		header, data, err := cloudevent.EncodeCommand(command)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if n := cloudevent.Size(header, data); n > events.MaxCommand {
			return fmt.Errorf("send: the command takes %d bytes, at most %d: %w", n, events.MaxCommand, events.ErrTooLarge)
		}
		command = cloudevent.NewDecoder(c.registry).Command(command.Subject, header, data)
	}
	store := func() error { c.store(command); return nil }
	if c.faults.Send != nil {
		return c.faults.Send(ctx, command, store)
	}
	return store()
}

// Put stores a command as it is, as whoever publishes without [events.Commands] can.
func (c *Commands) Put(command events.Command) { c.store(command) }

func (c *Commands) store(command events.Command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids[command.ID] {
		return
	}
	c.ids[command.ID] = true
	c.pending = append(c.pending, &pending{command: command})
	c.wake()
}

// wake tells consumers that there may be something to deliver. The caller holds the lock.
func (c *Commands) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// decides reports whether the service decides on commands to the subject.
func decides(service, subject string) bool {
	rest := strings.TrimPrefix(subject, events.CommandPrefix)
	switch service {
	case events.ServiceReconciler:
		return strings.HasPrefix(rest, "workload.") || strings.HasPrefix(rest, "instance.")
	case events.ServiceNodeHealth:
		return strings.HasPrefix(rest, "node.")
	}
	return false
}

// Consume implements events.Commands.
func (c *Commands) Consume(ctx context.Context, service string, handle func(events.Delivery)) error {
	if !decides(service, events.WorkloadCommand("x", "x")) && !decides(service, events.NodeCommand("x")) {
		return fmt.Errorf("consume commands: nobody sends commands to %q: %w", service, events.ErrInvalid)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, attempt, wait, changed := c.next(service)
		if p != nil {
			times := 1
			if c.faults.Deliver != nil {
				times = c.faults.Deliver(p.command, attempt)
			}
			for range times {
				handle(&delivery{of: c, pending: p, attempt: attempt})
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// next takes the first command that is due. Where there is none it says how long to wait for the next.
func (c *Commands) next(service string) (p *pending, attempt int, wait time.Duration, changed chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	wait = AckWait
	for _, p := range c.pending {
		if !decides(service, p.command.Subject) {
			continue
		}
		if left := p.notBefore.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		p.attempts++
		p.notBefore = now.Add(AckWait)
		return p, p.attempts, 0, nil
	}
	return nil, 0, wait, c.changed
}

// delivery implements events.Delivery.
type delivery struct {
	of      *Commands
	pending *pending
	attempt int
}

// Command implements events.Delivery.
func (d *delivery) Command() events.Command { return d.pending.command }

// Attempt implements events.Delivery.
func (d *delivery) Attempt() int { return d.attempt }

// Ack implements events.Delivery.
func (d *delivery) Ack() error {
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	if d.pending.done {
		return nil
	}
	d.pending.done = true
	left := d.of.pending[:0:0]
	for _, p := range d.of.pending {
		if p != d.pending {
			left = append(left, p)
		}
	}
	d.of.pending = left
	return nil
}

// Nak implements events.Delivery.
func (d *delivery) Nak(delay time.Duration) error {
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	d.pending.notBefore = time.Now().Add(delay)
	d.of.wake()
	return nil
}
