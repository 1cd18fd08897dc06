// Package api holds the documents that travel between the HTTP gateway and its clients: what the JSON of every request and
// answer looks like. It is data without behaviour; both sides import it, so neither can drift.
package api

import "time"

// List is one page of a collection.
type List[T any] struct {
	Items    []T    `json:"items" required:"true"`
	Continue string `json:"continue,omitempty" description:"pass as ?continue= for the next page; absent on the last"`
	Sequence uint64 `json:"sequence" description:"sequence of the event log that the page was read at"`
}

// State is the gateway's own projection in two numbers.
type State struct {
	Sequence  uint64    `json:"sequence" description:"last event folded in"`
	Time      time.Time `json:"time" description:"when that event was decided"`
	Hash      string    `json:"hash" description:"canonical hash of the whole state at that sequence"`
	Version   int       `json:"version" description:"version of the projection; hashes of different versions differ"`
	Workloads int       `json:"workloads"`
	Instances int       `json:"instances"`
	Nodes     int       `json:"nodes"`
	Waiting   int       `json:"waiting" description:"instances without a node"`
}

// Version says what serves.
type Version struct {
	Version    string `json:"version"`
	Go         string `json:"go"`
	Projection int    `json:"projection"`
}
