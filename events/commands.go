package events

import (
	"context"
	"time"
)

// Service names, as they stand in subjects, leases and credentials.
const (
	ServiceReconciler = "reconciler"
	ServiceScheduler  = "scheduler"
	ServiceNodeHealth = "node-health"
	ServiceGateway    = "gateway"
	ServiceAuditor    = "auditor"
)

// CommandServices are those under whose [CommandSubject] outcomes of commands stand.
func CommandServices() []string {
	return []string{ServiceReconciler, ServiceScheduler, ServiceNodeHealth, ServiceGateway}
}

// Command is an intent that waits for a decision. Its outcome is an event on [CommandSubject] of the service that decided,
// with [OutcomeID] of its id.
type Command struct {
	ID          string    // idempotency key: a command sent twice is decided once
	Type        string    // such as run.rutter.workload.apply.v1
	Subject     string    // cmd.workload.<namespace>.<name> or cmd.node.<node>
	Actor       string    // who asks, such as user:ada
	Reason      string    // why, in the actor's words; may be empty
	Time        time.Time // when it was asked for
	Correlation string    // id at the head of the chain; the command's own id where it starts one
	TraceParent string    // W3C trace context, may be empty
	Data        Payload
}

// WorkloadCommand is the subject of commands to the reconciler about a workload.
func WorkloadCommand(namespace, name string) string {
	return CommandPrefix + "workload." + namespace + "." + name
}

// NodeCommand is the subject of commands to node-health about a node.
func NodeCommand(node string) string { return CommandPrefix + "node." + node }

// Commands carries intents to the service that decides on them.
type Commands interface {
	// Send stores the command; on return it will be decided even if everything restarts. Sending the same id again is harmless.
	// It fails with [ErrTooLarge] above [MaxCommand].
	Send(ctx context.Context, command Command) error
	// Consume calls handle for each command of the service, in the order sent, again after a restart until it is acknowledged. It returns ctx's error when that is done.
	// Several consumers of one service share its commands.
	Consume(ctx context.Context, service string, handle func(Delivery)) error
}

// Delivery is a command on its way. One of its methods ends it; a delivery that none ends comes again.
type Delivery interface {
	Command() Command
	// Attempt counts from 1. Past [MaxDeliveries] the service rejects the command instead of trying it again.
	Attempt() int
	// Ack ends it: the outcome is in the log.
	Ack() error
	// Nak asks for it again after delay.
	Nak(delay time.Duration) error
}

// MaxDeliveries is after how many deliveries a command is a dead letter: it is answered by command.Rejected.
const MaxDeliveries = 20

// Leases elects the leader of a service. A lease saves work; it never makes a write safe.
type Leases interface {
	// Hold tries to hold the named lease until ctx is done. Whenever it is won, lead runs with a context that ends when the lease is
	// lost; Hold goes on trying after lead returns, until ctx is done, and then returns its error. A graceful end gives the lease up at once.
	Hold(ctx context.Context, name, holder string, lead func(ctx context.Context) error) error
	// Holder is who holds the lease now; empty where nobody does.
	Holder(ctx context.Context, name string) (string, error)
}

// LeaseTTL is how long a lease lives without renewal: longer than a failover of the log takes. It is renewed every third of it.
const LeaseTTL = 15 * time.Second

// Heartbeats carries the pulse of nodes; it is never part of the log.
type Heartbeats interface {
	// Beat sends a pulse; it may be lost.
	Beat(ctx context.Context, beat Heartbeat) error
	// Listen calls handle for every pulse from now on, and once, with replayed true, for the last known one of each node that has not
	// been heard by then, until ctx is done, then returns its error. Live pulses do not wait for the remembered ones.
	Listen(ctx context.Context, handle func(beat Heartbeat, replayed bool)) error
}

// Heartbeat is one pulse of a node.
type Heartbeat struct {
	Node        string           `json:"node"`
	Incarnation string           `json:"incarnation"` // of the agent process: a restart draws a new one
	Ready       bool             `json:"ready"`       // initialised and fit for work
	Message     string           `json:"message,omitempty"`
	Time        time.Time        `json:"time"` // by the node's clock; nothing is judged by it
	Usage       map[string]int64 `json:"usage,omitempty"`
	Ledger      uint64           `json:"ledger"` // sequence of the last ledger event that the agent has seen
}
