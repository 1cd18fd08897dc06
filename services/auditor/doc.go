// Package auditor is the service that lets the log prove itself: it reads every event in order into a Merkle tree (events/audit) and signs
// checkpoints of it. It decides nothing and writes no event. What it signed it holds the log to: where an event is missing, or
// is not what it was, it says so and signs nothing more.
package auditor
