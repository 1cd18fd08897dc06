// Package reconciler carries out commands about workloads and keeps the instances that are wished for in step with them.
//
// [Decide] turns a command into events, [Reconcile] turns a state into the events that bring the instances nearer to what is
// wished; both are pure. [Service] runs them against the log. The reconciler is the only writer of workload and
// instance events; where an instance runs is the scheduler's, what became of it the agent's to say.
//
// # Slots
//
// A workload of n replicas has the slots 0 to n-1. An instance fills one slot at one attempt and never moves; what ends, is lost or
// is of an old revision is followed by the next attempt at its slot. So a slot has at most one instance that is
// wished for, and its history (how often it failed, and when) is a fold that every backoff is reckoned from.
package reconciler
