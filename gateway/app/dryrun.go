package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
)

// gatewaySource is the source of the one event that gateways say.
const gatewaySource = "/rutter/gateway"

// recordDryRun puts down that somebody asked what a command would do, and what the answer was. It is an event of its own, for nobody but the gateway
// ever heard of it. It never has the command's idempotency key as its id: the command may still be sent.
func (a *App) recordDryRun(ctx context.Context, by Caller, subject string, data events.Payload, answer string) error {
	asked, err := a.command(by, subject, data)
	if err != nil {
		return err
	}
	said := command.DryRunV1{Command: command.RecordOf(asked), Answer: answer}
	e := events.Event{
		ID: strings.ToLower(rand.Text()), Type: said.WireType(), Source: gatewaySource, Time: asked.Time, Actor: by.Actor, TraceParent: by.TraceParent, Data: said,
	}
	e.Correlation = e.ID
	if err := a.append(ctx, events.CommandSubject(events.ServiceGateway), e); err != nil {
		return fmt.Errorf("put the dry run down: %w", err)
	}
	return nil
}

// append adds an event to a subject that all gateways write.
func (a *App) append(ctx context.Context, subject events.Subject, e events.Event) error {
	ctx, cancel := context.WithTimeout(ctx, a.DecisionWait)
	defer cancel()
	for {
		head, err := a.Log.LastOf(ctx, subject)
		if err != nil && !errors.Is(err, events.ErrNotFound) {
			return err
		}
		_, err = a.Log.Append(ctx, events.Batch{{Subject: subject, Expect: head.Sequence, Events: []events.Event{e}}})
		if err == nil || !errors.Is(err, events.ErrConflict) && !errors.Is(err, events.ErrBusy) {
			return err
		}
		// Another gateway was faster.
		select {
		case <-time.After(time.Millisecond + mathrand.N(10*time.Millisecond)):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
