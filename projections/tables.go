package projections

import (
	"github.com/rutter-run/rutter/events/spec"
	"github.com/tidwall/btree"
)

// table is one of the maps that a cluster is made of, as rows in key order. Hash and snapshots go through all tables, so a map
// that is not among them is neither compared nor kept: a test looks for such.
type table interface {
	name() string
	len() int
	// rows yields each key and its value: a pointer to plain data that nobody changes any more, a number, or nil in a set.
	rows(yield func(key string, value any) bool)
	// fresh is something to decode a value into; nil in a set.
	fresh() any
	// load adds a row after the ones before it.
	load(key string, value any)
}

// tables lists the maps. byAge is not among them, an index of outcomes, nor are priorities and
// apart, of entries and instances: they are made anew.
func (c *Cluster) tables() []table {
	return []table{
		records[Workload]{"workloads", &c.workloads},
		records[Slot]{"slots", &c.slots},
		records[Instance]{"instances", &c.instances},
		records[Node]{"nodes", &c.nodes},
		records[Entry]{"entries", &c.entries},
		records[Outcome]{"outcomes", &c.outcomes},
		numbers{"heads", &c.heads},
		set{"waiting", &c.waiting},
		set{"unsettled", &c.unsettled},
		set{"surplus", &c.surplus},
	}
}

// records is a table of structs.
type records[V any] struct {
	title string
	m     *btree.Map[string, *V]
}

func (t records[V]) name() string               { return t.title }
func (t records[V]) len() int                   { return t.m.Len() }
func (t records[V]) fresh() any                 { return new(V) }
func (t records[V]) load(key string, value any) { t.m.Load(key, value.(*V)) }
func (t records[V]) rows(yield func(string, any) bool) {
	t.m.Scan(func(key string, v *V) bool { return yield(key, v) })
}

// numbers is a table of sequences.
type numbers struct {
	title string
	m     *btree.Map[string, uint64]
}

func (t numbers) name() string               { return t.title }
func (t numbers) len() int                   { return t.m.Len() }
func (t numbers) fresh() any                 { return new(uint64) }
func (t numbers) load(key string, value any) { t.m.Load(key, *value.(*uint64)) }
func (t numbers) rows(yield func(string, any) bool) {
	t.m.Scan(func(key string, n uint64) bool { return yield(key, n) })
}

// set is a table of keys alone.
type set struct {
	title string
	m     *btree.Map[string, struct{}]
}

func (t set) name() string           { return t.title }
func (t set) len() int               { return t.m.Len() }
func (t set) fresh() any             { return nil }
func (t set) load(key string, _ any) { t.m.Load(key, struct{}{}) }
func (t set) rows(yield func(string, any) bool) {
	t.m.Scan(func(key string, _ struct{}) bool { return yield(key, nil) })
}

// withoutSpec is what is encoded of a row apart from a spec that it shares with many others, and that spec, nil where there is none.
func withoutSpec(value any) (any, *spec.InstanceSpec) {
	i, ok := value.(*Instance)
	if !ok {
		return value, nil
	}
	rest := *i
	rest.Spec = spec.InstanceSpec{}
	return &rest, &i.Spec
}
