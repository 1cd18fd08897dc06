// Package scheduler gives instances to nodes and takes them back.
//
// [Place] turns a state into assignments, revocations and reasons why nothing fits; it is pure. [Service] runs it against the
// log. The scheduler is the only writer of the nodes' ledgers. Every assignment expects its ledger where the
// plan saw it, so that two schedulers at once collide instead of giving the same capacity away twice; what a ledger holds
// counts until the node's agent says that it is gone.
package scheduler
