package api

import "time"

// Checkpoint is what the auditor last signed.
type Checkpoint struct {
	Note   string `json:"note" description:"the signed note (C2SP tlog-checkpoint): keep it elsewhere"`
	Origin string `json:"origin" description:"names the log, and the key that signs it"`
	Size   uint64 `json:"size" description:"events that it covers: 1 to this sequence"`
	Root   string `json:"root" description:"root of the Merkle tree (RFC 6962) of those events, in base64"`
	Alarm  string `json:"alarm,omitempty" description:"why nothing newer is signed: the log is not what was signed"`
}

// InclusionProof proves that an event stands in the tree of a checkpoint.
type InclusionProof struct {
	Sequence   uint64   `json:"sequence"`
	ID         string   `json:"id" description:"of the event"`
	Line       string   `json:"line" description:"the event's canonical line"`
	Leaf       string   `json:"leaf" description:"SHA-256 of a zero byte and the line, in base64"`
	Proof      []string `json:"proof" description:"audit path (RFC 6962), in base64"`
	Checkpoint string   `json:"checkpoint" description:"the signed note"`
}

// ConsistencyProof proves that a tree only adds to an earlier one.
type ConsistencyProof struct {
	Old        uint64   `json:"old" description:"events in the older tree"`
	OldRoot    string   `json:"oldRoot"`
	New        uint64   `json:"new"`
	NewRoot    string   `json:"newRoot"`
	Proof      []string `json:"proof" description:"consistency proof (RFC 6962), in base64"`
	Checkpoint string   `json:"checkpoint" description:"the newest signed note, whose tree both are part of"`
}

// AuditEntry is a command in the audit log: who wanted what, and what came of it.
type AuditEntry struct {
	Sequence  uint64    `json:"sequence"`
	Time      time.Time `json:"time" description:"when it was decided"`
	Asked     time.Time `json:"asked"`
	Actor     string    `json:"actor"`
	Verb      string    `json:"verb" description:"such as apply, scale, delete"`
	Target    string    `json:"target" description:"such as workload/default/web or node/n1"`
	Outcome   string    `json:"outcome" enum:"accepted,rejected,dry-run"`
	Code      string    `json:"code,omitempty" description:"why it was rejected, in one word"`
	Message   string    `json:"message,omitempty" description:"why it was rejected, or what a dry run said"`
	Reason    string    `json:"reason,omitempty" description:"in the actor's words"`
	Service   string    `json:"service" description:"who decided"`
	Operation string    `json:"operation" description:"id of the command"`
	Events    int       `json:"events" description:"events of the same decision"`
}
