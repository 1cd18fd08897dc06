package events

import (
	"fmt"
	"strings"
)

// Subject is the literal NATS subject of one aggregate. One subject is one consistency boundary: the event type is never in it.
type Subject string

// Aggregate is a kind of thing that has a history.
type Aggregate string

// The aggregates.
const (
	AggregateWorkload Aggregate = "workload"
	AggregateInstance Aggregate = "instance"
	AggregateLedger   Aggregate = "ledger"
	AggregateUnplaced Aggregate = "unplaced"
	AggregateNode     Aggregate = "node"
	AggregateReport   Aggregate = "report"
	AggregateCommand  Aggregate = "command"
)

// EventPrefix and CommandPrefix head every subject of the EVENTS and COMMANDS streams. LivePrefix heads an event's
// republished copy.
const (
	EventPrefix   = "evt."
	CommandPrefix = "cmd."
	LivePrefix    = "live."
)

// WorkloadSubject is the subject of a workload; its only writer is the reconciler.
func WorkloadSubject(namespace, name string) Subject {
	return Subject(EventPrefix + "workload." + namespace + "." + name)
}

// InstanceKey names an instance: its namespace, its workload and its own name, which is <workload>-<slot>-<attempt>.
type InstanceKey struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Name      string `json:"name"`
}

// String is <namespace>/<name>; the name holds the workload.
func (k InstanceKey) String() string { return k.Namespace + "/" + k.Name }

// InstanceName derives the name of the instance that fills a slot of a workload at an attempt (both count from 0 and 1).
func InstanceName(workload string, slot, attempt int) string {
	return fmt.Sprintf("%s-%d-%d", workload, slot, attempt)
}

// InstanceSubject is the subject of an instance's wishes; its only writer is the reconciler.
func InstanceSubject(k InstanceKey) Subject { return instanceSubject("instance", k) }

// UnplacedSubject is the subject of the reasons why an instance has no node; its only writer is the scheduler.
func UnplacedSubject(k InstanceKey) Subject { return instanceSubject("unplaced", k) }

func instanceSubject(aggregate string, k InstanceKey) Subject {
	return Subject(EventPrefix + aggregate + "." + k.Namespace + "." + k.Workload + "." + k.Name)
}

// LedgerSubject is the subject of a node's assignments; its only writer is the scheduler.
func LedgerSubject(node string) Subject { return Subject(EventPrefix + "ledger." + node) }

// NodeSubject is the subject of a node's health; its only writer is node-health.
func NodeSubject(node string) Subject { return Subject(EventPrefix + "node." + node) }

// ReportSubject is the subject of what a node's agent observes of an instance; its only writer is that agent.
func ReportSubject(node string, k InstanceKey) Subject {
	return Subject(EventPrefix + "report." + node + "." + k.Namespace + "." + k.Workload + "." + k.Name)
}

// CommandSubject is the subject of the outcomes of the commands that a service handled; its only writer is that service.
func CommandSubject(service string) Subject { return Subject(EventPrefix + "command." + service) }

// Aggregate is the kind of thing the subject names.
func (s Subject) Aggregate() Aggregate { return Aggregate(s.token(1)) }

// Name is the subject without the stream's prefix and with slashes: workload/default/web.
func (s Subject) Name() string {
	return strings.ReplaceAll(strings.TrimPrefix(string(s), EventPrefix), ".", "/")
}

// token is the nth dot-separated part, empty where there is none.
func (s Subject) token(n int) string {
	rest := string(s)
	for ; n > 0; n-- {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return ""
		}
		rest = rest[i+1:]
	}
	if i := strings.IndexByte(rest, '.'); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// Matches reports whether a NATS pattern covers the subject: '*' stands for one word, '>' at the end for one or more.
func (s Subject) Matches(pattern string) bool {
	rest := string(s)
	for {
		want, patterns, more := strings.Cut(pattern, ".")
		if want == ">" {
			return rest != ""
		}
		word, words, another := strings.Cut(rest, ".")
		if want != "*" && want != word || word == "" || more != another {
			// "a" against "a.>" and "a.b" against "a" differ in length.
			return false
		}
		if !more {
			return true
		}
		pattern, rest = patterns, words
	}
}

// Workload takes namespace and name out of a workload's subject.
func (s Subject) Workload() (namespace, name string) { return s.token(2), s.token(3) }

// Node takes the node's name out of a node, ledger or report subject.
func (s Subject) Node() string { return s.token(2) }

// Service takes the service's name out of a command subject.
func (s Subject) Service() string { return s.token(2) }

// Instance takes the instance out of an instance, unplaced or report subject.
func (s Subject) Instance() InstanceKey {
	at := 2
	if s.Aggregate() == AggregateReport {
		at = 3
	}
	return InstanceKey{Namespace: s.token(at), Workload: s.token(at + 1), Name: s.token(at + 2)}
}
