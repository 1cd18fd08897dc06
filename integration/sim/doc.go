// Package sim runs the deciding services against a log in memory, simulated agents and injected faults, in virtual time.
//
// Everything that happens is drawn from one seed: commands, deaths of nodes, crashes of services, refused and doubtful appends, lagging
// followers, duplicate deliveries. After every event the invariants are checked on a fold of its own; when the faults end, the
// cluster has to come to rest where it was told to be. A seed that fails prints itself:
//
//	RUTTER_SIM_SEED=17 go test ./integration/sim     # that one
//	RUTTER_SIM_SEEDS=500 go test ./integration/sim   # many
package sim
