package auth

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/door"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/rpc"
)

// The users of a deployment that are not nodes: its services, whoever sets it up and repairs it, and whoever wants to join.
const (
	UserReconciler = events.ServiceReconciler
	UserScheduler  = events.ServiceScheduler
	UserNodeHealth = events.ServiceNodeHealth
	UserGateway    = events.ServiceGateway
	UserAuditor    = events.ServiceAuditor
	UserDoor       = "door" // through which nodes reach the log; node-health's processes keep it
	UserAdmin      = "admin"
	userJoin       = "join"
)

// Permissions is what a user may publish to and subscribe to; all else is refused. Nobody has NATS's right to answer wherever a request
// points (allow_responses): who answers may publish below the inboxes of those whom it answers, and nowhere else.
type Permissions struct {
	Publish   []string
	Subscribe []string
}

// Users lists who has permissions of its own.
func Users() []string { return slices.Sorted(maps.Keys(services)) }

// ServicePermissions is what a user of [Users] may do.
func ServicePermissions(user string) (Permissions, error) {
	make, ok := services[user]
	if !ok {
		return Permissions{}, fmt.Errorf("there is no user %q: want one of %q: %w", user, Users(), events.ErrNotFound)
	}
	return make(), nil
}

// services is the table: each service writes only the aggregates that it is the only writer of.
var services = map[string]func() Permissions{
	UserReconciler: func() Permissions {
		return decider(UserReconciler, "evt.workload.>", "evt.instance.>").and(consumer(UserReconciler)).and(keeper())
	},
	UserScheduler: func() Permissions {
		return decider(UserScheduler, "evt.ledger.>", "evt.unplaced.>")
	},
	UserNodeHealth: func() Permissions {
		return decider(UserNodeHealth, "evt.node.>").and(consumer(UserNodeHealth)).and(pulse()).
			// Its own pulse goes out as a node's does, so that hearing it proves that it can hear nodes.
			and(Permissions{Publish: []string{"hb.*", natsconn.InboxPrefix(userJoin) + ".>"}, Subscribe: []string{joinSubject("*"), "state.*"}})
	},
	UserDoor: func() Permissions {
		return reader(UserDoor).and(Permissions{
			Publish:   []string{"evt.report.>", "cmd.node.*", natsconn.InboxPrefix(natsconn.NodeUser("*")) + ".>"},
			Subscribe: []string{door.Subjects},
		})
	},
	// It writes no event: what it keeps lies beside the log.
	UserAuditor: func() Permissions {
		return reader(UserAuditor).and(leader(UserAuditor)).and(vaultReader()).and(Permissions{Publish: []string{"$KV.AUDIT.>"}})
	},
	UserGateway: func() Permissions {
		return reader(UserGateway).and(pulse()).and(vaultReader()).and(Permissions{
			Publish:   []string{"cmd.>", "rpc.>", "$JS.API.DIRECT.GET.KV_LEASES.>", string(events.CommandSubject(UserGateway))}, // its dry runs
			Subscribe: []string{"live.evt.>"},
		})
	},
	UserAdmin: func() Permissions { return Permissions{Publish: []string{">"}, Subscribe: []string{">"}} },
	userJoin: func() Permissions {
		return Permissions{Publish: []string{joinSubject("*")}, Subscribe: []string{natsconn.InboxPrefix(userJoin) + ".>"}}
	},
}

// NodePermissions is what the agent of a node may do: knock at the door in its own name with its own key, beat, hear its own ledger
// and answer the gateway. It never speaks to JetStream, which answers wherever the asker says, with the server's own right to publish:
// who may ask it anything can write anything.
func NodePermissions(node, key string) Permissions {
	return Permissions{
		Publish:   []string{door.Subject(node, key, ">"), "hb." + node, rpc.Answers(node) + ".>"},
		Subscribe: []string{natsconn.InboxPrefix(natsconn.NodeUser(node)) + ".>", "live.evt.ledger." + node, rpc.Prefix + node + ".>"},
	}
}

// keeper writes snapshots of the state and removes them.
func keeper() Permissions {
	return Permissions{Publish: []string{
		"$O.SNAPSHOTS.>", "$JS.API.STREAM.PURGE.OBJ_SNAPSHOTS",
	}}
}

// reader may read the whole log, and the snapshots of its state.
func reader(user string) Permissions {
	return Permissions{
		Publish: []string{
			"state." + user, // what it has folded, for node-health to compare
			"$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.>", "$JS.API.DIRECT.GET.EVENTS.>", "$JS.FC.EVENTS.>",
			"$JS.API.STREAM.INFO.OBJ_SNAPSHOTS", "$JS.API.STREAM.MSG.GET.OBJ_SNAPSHOTS",
		},
		Subscribe: []string{natsconn.InboxPrefix(user) + ".>"},
	}
}

// decider reads the whole log, writes its own aggregates and the outcomes of its commands, and holds its lease.
func decider(user string, writes ...string) Permissions {
	return reader(user).and(leader(user)).and(Permissions{Publish: append(writes, string(events.CommandSubject(user)))})
}

// leader holds the lease of its service.
func leader(user string) Permissions {
	return Permissions{
		Publish:   []string{"$KV.LEASES." + user, "$JS.API.DIRECT.GET.KV_LEASES.$KV.LEASES." + user},
		Subscribe: []string{"$KV.LEASES." + user},
	}
}

// vaultReader reads what the auditor has made.
func vaultReader() Permissions {
	return Permissions{Publish: []string{"$JS.API.DIRECT.GET.KV_AUDIT.>"}}
}

// consumer takes the commands of its service.
func consumer(user string) Permissions {
	return Permissions{Publish: []string{
		"$JS.API.CONSUMER.INFO.COMMANDS." + user, "$JS.API.CONSUMER.MSG.NEXT.COMMANDS." + user, "$JS.ACK.COMMANDS." + user + ".>",
	}}
}

// pulse hears every node's heartbeat.
func pulse() Permissions {
	return Permissions{Publish: []string{"$JS.API.CONSUMER.CREATE.HEARTBEATS.*.hb.*"}, Subscribe: []string{"hb.*"}}
}

func (p Permissions) and(o Permissions) Permissions {
	return Permissions{
		Publish:   slices.Concat(p.Publish, o.Publish),
		Subscribe: slices.Concat(p.Subscribe, o.Subscribe),
	}
}

func joinSubject(node string) string { return "join." + node }
