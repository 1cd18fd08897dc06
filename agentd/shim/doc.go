// Package shim is the small process that stands over one container and outlives the agent.
//
// It starts the container through the OCI runtime, is the parent of its main process, writes its output to a log with rotation,
// reaps it, puts its exit status on disk and serves start, wait, kill and exec on a unix socket in the container's directory.
// The agent may die and come back: what it finds is the directory, the socket and a lock that the shim holds while it lives.
//
//	start.json  written before the OCI runtime is run, and again with the process id: no start.json, never started
//	exit.json   written last, after all output is in the log: exit.json, ended
//	lock        held by the shim; the kernel lets go of it whatever kills the shim
//
// From these alone anybody can tell where a container stands; see [Inspect]. A shim that is gone without exit.json was killed: its
// container has no parent and no log any more, and the agent ends what remains of it; see [Adopt].
//
// The package imports nothing of the project and little beside go-runc: one of these runs for every container.
package shim
