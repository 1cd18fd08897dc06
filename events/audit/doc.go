// Package audit makes the log prove itself: a Merkle tree (RFC 6962) over the canonical lines of its events, tiles of that tree in a vault, and
// checkpoints of it signed with Ed25519 in the formats of C2SP (tlog-checkpoint, signed-note, tlog-tiles). The hashing and the
// proofs are those of golang.org/x/mod/sumdb. docs/design/audit.md says enough to verify it all in another language.
package audit
