// Package decider is what every deciding service has in common: the shape of a plan, how events name their causes, how commands
// are answered, and the one loop that follows the log, plans, commits and acknowledges.
//
// A service is a pure function from a [Turn] to a [Plan]. [Loop] is the only part that touches the world. Planning is level
// triggered: whatever wakes the loop, it looks at the whole state, so that nothing depends on an event not being missed, and
// a plan that was cut short, lost or made twice is simply made again.
package decider
