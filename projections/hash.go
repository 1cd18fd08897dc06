package projections

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"

	"github.com/tidwall/btree"
)

// Hash is the canonical hash of the state: SHA-256 over the version, the sequence and every entry of every map in key order, each
// as JSON. Two processes at one sequence have the same hash, or one of them is wrong.
func (c *Cluster) Hash() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	_ = enc.Encode([]any{Version, c.sequence, c.time.UnixNano()})
	hashMap(h, enc, "workloads", &c.workloads)
	hashMap(h, enc, "slots", &c.slots)
	hashMap(h, enc, "instances", &c.instances)
	hashMap(h, enc, "nodes", &c.nodes)
	hashMap(h, enc, "entries", &c.entries)
	hashMap(h, enc, "outcomes", &c.outcomes)
	hashMap(h, enc, "heads", &c.heads)
	hashMap(h, enc, "waiting", &c.waiting)
	hashMap(h, enc, "unsettled", &c.unsettled)
	hashMap(h, enc, "surplus", &c.surplus)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// hashMap writes one map. The values are plain data of this package: encoding them cannot fail.
func hashMap[V any](h hash.Hash, enc *json.Encoder, name string, m *btree.Map[string, V]) {
	h.Write([]byte(name))
	m.Scan(func(key string, v V) bool {
		h.Write([]byte(key))
		_ = enc.Encode(v)
		return true
	})
}
