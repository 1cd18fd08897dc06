package fingerprint

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
)

// remembered is how many sequences are remembered to compare with: processes look at the same ones, at about the same time.
const remembered = 128

// Comparison remembers what was told and finds what does not agree. It is pure. The zero Comparison is ready.
type Comparison struct {
	first map[place]events.Fingerprint
	order []place
}

type place struct {
	version  int
	sequence uint64
}

// Disagreement is two states where there should be one.
type Disagreement struct{ One, Other events.Fingerprint }

// String says who has come to what.
func (d Disagreement) String() string {
	return fmt.Sprintf("at sequence %d %s on %s has the state %s, and %s on %s has %s", d.One.Sequence, d.One.Service, d.One.Holder, d.One.Hash,
		d.Other.Service, d.Other.Holder, d.Other.Hash)
}

// Hear takes a fingerprint in. It is compared with the first one of its version and sequence; compared: there was one by another process.
func (c *Comparison) Hear(f events.Fingerprint) (d Disagreement, differ, compared bool) {
	at := place{f.Version, f.Sequence}
	if one, ok := c.first[at]; ok {
		return Disagreement{one, f}, one.Hash != f.Hash, one.Service != f.Service || one.Holder != f.Holder
	}
	if c.first == nil {
		c.first = map[place]events.Fingerprint{}
	}
	c.first[at] = f
	c.order = append(c.order, at)
	if len(c.order) > remembered {
		delete(c.first, c.order[0])
		c.order = c.order[1:]
	}
	return Disagreement{}, false, false
}
