package jetstream

import "github.com/rutter-run/rutter/events"

// The streams.
const (
	StreamEvents     = "EVENTS"
	StreamCommands   = "COMMANDS"
	StreamHeartbeats = "HEARTBEATS"
	BucketLeases     = "LEASES"
	BucketSnapshots  = "SNAPSHOTS"
	BucketPositions  = "SUBSCRIBERS"
	BucketAudit      = "AUDIT"
)

const (
	heartbeatPrefix = "hb."
	leaseStream     = "KV_" + BucketLeases
	leasePrefix     = "$KV." + BucketLeases + "."
	positionStream  = "KV_" + BucketPositions
	positionPrefix  = "$KV." + BucketPositions + "."
	vaultStream     = "KV_" + BucketAudit
	vaultPrefix     = "$KV." + BucketAudit + "."
	apiPrefix       = "$JS.API."
)

// commandFilters says which commands a service decides on.
func commandFilters(service string) []string {
	switch service {
	case events.ServiceReconciler:
		return []string{events.CommandPrefix + "workload.>", events.CommandPrefix + "instance.>"}
	case events.ServiceNodeHealth:
		return []string{events.CommandPrefix + "node.>"}
	}
	return nil
}

// commandServices are the services that decide on commands.
var commandServices = []string{events.ServiceReconciler, events.ServiceNodeHealth}
