package door

import (
	"strings"

	"github.com/rutter-run/rutter/internal/natsconn"
)

// Subjects are where the door listens: door.<node>.<key>.<verb>.
const Subjects = "door.*.*.*"

// queue shares requests between the processes that serve the door.
const queue = "door"

// The verbs.
const (
	verbAppend   = "append"
	verbRead     = "read"
	verbLastOf   = "last-of"
	verbRegister = "register"
	verbRenew    = "renew"
	verbPing     = "ping"
)

// Verbs are all that can be asked. The door has a subscription for each.
var Verbs = [...]string{verbAppend, verbRead, verbLastOf, verbRegister, verbRenew, verbPing}

// Subject is where the holder of a key asks something in a node's name.
func Subject(node, key, verb string) string { return "door." + node + "." + key + "." + verb }

// caller is who asks, as the subject says: NATS lets nobody publish there but the holder of the key that was admitted under the name.
type caller struct{ node, key string }

// parse takes a subject apart.
func parse(subject string) (by caller, verb string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0] != "door" {
		return by, "", false
	}
	return caller{parts[1], parts[2]}, parts[3], parts[1] != "" && parts[2] != ""
}

// answerable reports whether a reply subject lies in the caller's own inbox. The door may publish into every node's inbox and below every
// node's reports: where an answer goes must not be the asker's choice alone.
func (by caller) answerable(reply string) bool {
	rest, ok := strings.CutPrefix(reply, natsconn.InboxPrefix(natsconn.NodeUser(by.node))+".")
	return ok && rest != "" && !strings.ContainsAny(rest, "*> \t\r\n")
}
