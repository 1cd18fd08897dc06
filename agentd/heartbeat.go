package agentd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

// beat sends a pulse at every interval.
func (a *Agent) beat(ctx context.Context) error {
	ticker := time.NewTicker(a.config.Heartbeat)
	defer ticker.Stop()
	for {
		ready, message := a.Ready()
		a.mu.Lock()
		var head uint64
		if a.ledger != nil {
			head = a.ledger.Head
		}
		a.mu.Unlock()
		beat := events.Heartbeat{
			Node: a.config.Node, Incarnation: a.config.Incarnation, Ready: ready, Message: message, Time: time.Now(), Ledger: head,
		}
		// A lost pulse is made good by the next one.
		if err := a.conns.Heartbeats.Beat(ctx, beat); err != nil && ctx.Err() == nil {
			a.log.WithError(err).Debug("heartbeat not sent")
		}
		if err := a.saveLedger(); err != nil {
			a.log.WithError(err).Warn("the ledger was not saved; it will be read from the log")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// register asks node-health to take the node in. Asking twice with one incarnation is asking once.
func (a *Agent) register(ctx context.Context) error {
	info, err := a.runtime.Info(ctx)
	if err != nil {
		return err
	}
	labels := map[string]string{
		"rutter.run/node": a.config.Node, "rutter.run/arch": info.Architecture, "rutter.run/os": info.OS,
	}
	maps.Copy(labels, a.config.Labels)
	return a.conns.Commands.Send(ctx, events.Command{
		ID:      events.NodeID(a.config.Node, events.DeriveID(a.config.Incarnation, events.NodeSubject(a.config.Node), 0)),
		Type:    node.RegisterV1{}.WireType(),
		Subject: events.NodeCommand(a.config.Node),
		Actor:   events.NodeActor(a.config.Node),
		Reason:  "the agent started",
		Time:    time.Now(),
		Data: node.RegisterV1{
			Incarnation: a.config.Incarnation, Key: a.config.Key, Address: a.config.Address,
			Capacity: info.Capacity.Sub(a.config.Reserved), Labels: labels, Version: a.config.Version, Runtime: info.Runtime,
		},
	})
}

// saveLedger saves the ledger if it has changed.
func (a *Agent) saveLedger() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ledger == nil || !a.dirty {
		return nil
	}
	if err := a.store.SaveLedger(a.ledger); err != nil {
		return err
	}
	a.dirty = false
	return nil
}

// encode is the JSON of a report's payload, which is plain data.
func encode(p events.Payload) []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("agentd: a report that does not encode: %v", err))
	}
	return data
}
