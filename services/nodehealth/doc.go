// Package nodehealth admits nodes to the cluster and judges whether they live.
//
// [Decide] answers the commands of nodes and operators, [Judge] turns what was heard of the nodes into Ready, Suspected, Lost and
// Returned; both are pure. [Service] listens, and runs them against the log. Node-health is the only writer of node events.
//
// # How not to be wrong
//
// A wrong Lost costs every instance of a node, so silence counts only when it is the node's own:
//
//   - pulses are heard over core NATS, which an election of the log does not interrupt, and are timed by this process's
//     monotonic clock alone;
//   - this process sends a pulse of its own the same way and judges nobody while it does not hear itself; what was silent
//     while it could not hear, was paused or did not lead is given a whole fresh period;
//   - a node is lost only after it has been suspected in the log for a while: the log takes writes, and the judgement was
//     public before it had consequences;
//   - where two or more nodes fall silent all at once, the fault is likely between them and us: that takes longer.
package nodehealth
