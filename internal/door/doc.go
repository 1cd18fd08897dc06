// Package door is how nodes reach the log.
//
// A node never speaks to JetStream: JetStream answers on whatever subject the asker names, and the server publishes that answer with
// its own right. Who may ask it anything, be it for the acknowledgement of a report, can have the answer delivered as somebody's command
// or event, or as a request to delete the log. So nodes ask the door instead, by core NATS requests on door.<node>.<key>.<verb>:
//
//	append    reports of the node, whole or not at all
//	read      a page of the history of one of the node's own subjects
//	last-of   the last event of one
//	register  the command by which the node joins
//	renew     new credentials for the node's key, while the name is its own
//	ping      whether anybody is there
//
// Node-health's processes serve it, leader and standbys alike, and share the requests (a NATS queue group). A ping waits for no other request. A node's permissions let
// it ask in its own name and with its own key alone, so the subject says who asks. The door ([Server]) looks at the rest ([allow]): that the
// name still belongs to the key, that the answer goes to the node's own inbox, and that what is appended stands under the node's own report
// subjects, is of a type of the aggregate report, and carries the node's own source, actor and ids.
//
// The agent's side is the [Client]. Each of its requests waits for seconds at most, and is repeated with the same ids where its answer is
// lost, such as with a node-health that was killed: what is stored is found again and not stored twice.
package door
