// Package reconciler carries out commands about workloads and keeps the instances that are wished for in step with them.
//
// [Decide] turns a command into events, [Reconcile] turns a state into the events that bring the instances nearer to what is
// wished; both are pure. [Service] runs them against the log. The reconciler is the only writer of workload and
// instance events; where an instance runs is the scheduler's, what became of it the agent's to say.
//
// # Slots
//
// A workload of n replicas fills n slots, the lowest that are free. An instance fills one slot at one attempt and never moves; what
// ends, is lost, is of an old revision or on a node that is drained is followed by the next attempt at its slot. A slot has one instance that is
// wished for, and at most one successor beside it that is to take its place once it is ready. Its history (how often it
// failed, and when) is a fold that every backoff is reckoned from.
//
// Where there are more instances than are wished for, those go first that have no node, then those that are not ready, on a node that
// is not sound, on the node with the most of them, and the youngest; each one's stop says which of these it was.
package reconciler
