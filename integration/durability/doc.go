// Package durability holds the log to what docs/operations/durability.md promises: servers are killed in the midst of batches, files are torn,
// disks fill up, power fails under a file system that forgets what was not fsynced, leaders die and networks part, all under load. Every
// test prints the log's sequence and hash before and after.
//
// The tests are short by default; -args -long runs many rounds (task soak).
package durability
