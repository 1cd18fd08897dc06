// Package memlog keeps the log, the commands, the leases and the nodes' pulse in memory, for tests and simulations.
//
// It behaves as package jetstream does (package logtest holds both to it), needs no goroutine of its own, waits only on channels and
// timers and so runs under virtual time (testing/synctest). [Faults] lets a simulation come between a caller and the store.
package memlog
