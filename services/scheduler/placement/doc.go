// Package placement is how the scheduler finds a node for one instance: filters turn nodes away and say why, scores order those that are left,
// a profile says which scores count for how much. It is pure.
//
// A [Pool] is the nodes with what is left on them. A [Task] is what an instance asks, worked out once for all that ask the
// same. [Pool.Choose] finds the node, [Pool.Take] sets aside what the instance needs there. Whoever wants to know what the scheduler would do
// (the scheduler itself, a simulation of a trace, a benchmark) goes through these three.
//
// Where nothing that a task asks depends on what is placed elsewhere, the pool ranks the nodes for it in a heap once, and afterwards looks again
// only at nodes that have changed. Otherwise it looks at a sample of the nodes that fit.
package placement
