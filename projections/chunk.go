package projections

import (
	"bytes"
	"fmt"
	"iter"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// Chunk is a run of rows of one table, as they are kept in a snapshot: each row its key and its value in canonical CBOR, and in the table
// of instances the number of its spec.
type Chunk struct {
	Table string
	Rows  int
	Data  []byte
}

// specsTable is the name of the table of specs, which comes before the cluster's own.
const specsTable = "specs"

// Chunks takes the cluster apart into chunks of at most so many rows, specs first. The same state gives the same chunks.
// A chunk's data are good until the next one is asked for.
func (c *Cluster) Chunks(rows int) iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		specs := newSpecTable()
		c.instances.Scan(func(_ string, i *Instance) bool {
			specs.number(&i.Spec)
			return true
		})
		cut := cutter{most: rows, yield: yield, chunk: Chunk{Table: specsTable}}
		for _, s := range specs.all {
			encode(&cut.body, s)
			if !cut.row() {
				return
			}
		}
		for _, t := range c.tables() {
			if !cut.flush(t.name()) {
				return
			}
			t.rows(func(key string, value any) bool {
				value, shared := withoutSpec(value)
				encode(&cut.body, key)
				encode(&cut.body, value)
				if shared != nil {
					encode(&cut.body, specs.number(shared))
				}
				return cut.row()
			})
		}
		cut.flush("")
	}
}

// cutter gathers rows into chunks.
type cutter struct {
	most  int
	yield func(Chunk) bool
	chunk Chunk
	body  bytes.Buffer
	ended bool
}

func (c *cutter) row() bool {
	c.chunk.Rows++
	return c.chunk.Rows < c.most || c.flush(c.chunk.Table)
}

// flush passes the current chunk on and begins one of the table.
func (c *cutter) flush(next string) bool {
	if c.ended {
		return false
	}
	if c.chunk.Rows > 0 {
		c.chunk.Data = c.body.Bytes()
		c.ended = !c.yield(c.chunk)
	}
	c.chunk = Chunk{Table: next}
	c.body.Reset()
	return !c.ended
}

// Loader puts a cluster together again from its chunks.
type Loader struct {
	c      Cluster
	tables map[string]table
	specs  []spec.InstanceSpec
}

// NewLoader begins a cluster at a sequence and a time.
func NewLoader(sequence uint64, at time.Time) *Loader {
	l := &Loader{c: Cluster{sequence: sequence, time: at}, tables: map[string]table{}}
	for _, t := range l.c.tables() {
		l.tables[t.name()] = t
	}
	return l
}

// Rows are decoded rows.
type Rows struct {
	table  string
	keys   []string
	values []any
}

// Decode reads a chunk. It changes nothing, so several goroutines may decode once the specs have been added.
func (l *Loader) Decode(chunk Chunk) (Rows, error) {
	t, known := l.tables[chunk.Table]
	if !known && chunk.Table != specsTable {
		return Rows{}, fmt.Errorf("snapshot: table %q: want one that this version has: %w", chunk.Table, events.ErrInvalid)
	}
	if chunk.Rows < 0 || chunk.Rows > len(chunk.Data) { // a row is a byte at least
		return Rows{}, fmt.Errorf("snapshot: %d rows of table %s in %d bytes: %w", chunk.Rows, chunk.Table, len(chunk.Data), events.ErrInvalid)
	}
	rows := Rows{table: chunk.Table, keys: make([]string, chunk.Rows), values: make([]any, chunk.Rows)}
	rest := chunk.Data
	var err error
	read := func(into any) {
		if err == nil {
			rest, err = decoding.UnmarshalFirst(rest, into)
		}
	}
	for n := range chunk.Rows {
		if !known {
			s := new(spec.InstanceSpec)
			read(s)
			rows.values[n] = s
			continue
		}
		read(&rows.keys[n])
		value := t.fresh()
		if value == nil {
			var nothing any
			read(&nothing)
			continue
		}
		read(value)
		rows.values[n] = value
		if i, ok := value.(*Instance); ok {
			var number int
			read(&number)
			if err == nil && (number < 0 || number >= len(l.specs)) {
				err = fmt.Errorf("spec %d of %d", number, len(l.specs))
			} else if err == nil {
				i.Spec = l.specs[number]
			}
		}
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	if err != nil {
		return Rows{}, fmt.Errorf("snapshot: table %s: %w: %w", chunk.Table, events.ErrInvalid, err)
	}
	return rows, nil
}

// Add takes rows in, in the order of the chunks.
func (l *Loader) Add(rows Rows) {
	if rows.table == specsTable {
		for _, s := range rows.values {
			l.specs = append(l.specs, *s.(*spec.InstanceSpec))
		}
		return
	}
	t := l.tables[rows.table]
	for n, key := range rows.keys {
		t.load(key, rows.values[n])
	}
}

// IsSpecs reports whether the chunk holds specs: those have to be added before any other is decoded.
func (c Chunk) IsSpecs() bool { return c.Table == specsTable }

// Cluster is what was added. Whether it is what was taken apart, its hash tells.
func (l *Loader) Cluster() *Cluster {
	l.c.outcomes.Scan(func(id string, o *Outcome) bool {
		l.c.byAge.Set(o.Mark.Sequence, id)
		return true
	})
	l.c.entries.Scan(func(_ string, e *Entry) bool {
		l.c.countPriority(e.Priority, 1)
		if e.Revoked {
			l.c.revokedNow++
		}
		return true
	})
	l.c.instances.Scan(func(key string, i *Instance) bool {
		mark(&l.c.apart, key, keepsApart(i))
		return true
	})
	return &l.c
}
