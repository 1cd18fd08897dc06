// Package snapshot keeps states of the cluster, so that nobody has to fold the whole log: services and gateways start from the newest one
// and the events after it, and the past is read from the nearest one before.
//
// A snapshot is never trusted more than the log: one of another log, of another version of the projection, of a sequence that the log does not
// have, one that does not decode or whose state has another hash than it says is passed over with a warning, and the next older is tried.
package snapshot
