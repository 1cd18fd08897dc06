// Package jetstream keeps the log, the commands, the leases and the nodes' pulse on NATS JetStream. It is the only package that
// speaks JetStream.
//
// [Setup] makes the streams; [Open] gives a process its [Client], whose methods give the interfaces of package events. What was
// measured about JetStream and what follows from it is in docs/design/jetstream.md.
package jetstream
