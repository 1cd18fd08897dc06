package api

import "time"

// Why is the causal chain behind the present state of a thing.
type Why struct {
	Thing   string  `json:"thing" description:"such as instance/default/web-0-2"`
	Answer  string  `json:"answer" description:"the present state in one sentence"`
	Because []Cause `json:"because"`
}

// Cause is one event of a causal chain and what it in turn came from.
type Cause struct {
	ID       string    `json:"id"`
	Sequence uint64    `json:"sequence,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Type     string    `json:"type,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Line     string    `json:"line" description:"the event in words"`
	Reason   string    `json:"reason,omitempty" description:"of a command, in its actor's words"`
	Shown    bool      `json:"shown,omitempty" description:"its own causes stand further up in the tree"`
	Because  []Cause   `json:"because,omitempty"`
}
