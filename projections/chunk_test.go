package projections_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"pgregory.net/rapid"
)

// again takes a cluster apart and puts it together.
func again(t interface {
	Helper()
	Fatal(...any)
}, c *projections.Cluster, rows int) *projections.Cluster {
	t.Helper()
	l := projections.NewLoader(c.Sequence(), c.Time())
	for chunk := range c.Chunks(rows) {
		decoded, err := l.Decode(chunk)
		if err != nil {
			t.Fatal(err)
		}
		l.Add(decoded)
	}
	return l.Cluster()
}

// filler gives every field of a value something that is not its zero, the same nowhere.
type filler struct {
	t *testing.T
	n int
}

func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(projectionstest.Start.Add(time.Duration(f.n) * 1234567891)))
		return
	case !v.CanSet():
		f.t.Fatalf("%s is not exported: no snapshot can keep it", path)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + strconv.Itoa(f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n%99 + 1))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n%99 + 1))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) + 0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), path+"[]")
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), path+"[]")
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, path+"{key}")
		f.fill(value, path+"{}")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	default:
		f.t.Fatalf("%s is a %s: no snapshot can keep it", path, v.Kind())
	}
}

func TestASnapshotKeepsEveryField(t *testing.T) {
	f := &filler{t: t}
	c := projections.Filled(func(value any) {
		v := reflect.ValueOf(value).Elem()
		f.fill(v, v.Type().Name())
	})
	got := again(t, c, 3)
	want := projections.RowsOf(c)
	for n, row := range projections.RowsOf(got) {
		if !reflect.DeepEqual(row, want[n]) {
			t.Errorf("table %s: kept %+v, want %+v", row.Table, row.Value, want[n].Value)
		}
	}
	if got.Hash() != c.Hash() {
		t.Error("the hash is another")
	}
}

func TestEveryMapIsInATable(t *testing.T) {
	// byAge is an index of outcomes, priorities one of entries and apart one of instances, which a loader makes anew.
	if names := projections.Untabled(); !slices.Equal(names, []string{"byAge", "priorities", "apart"}) {
		t.Errorf("maps %v are in no table: snapshots would lose what is in them, and no hash would tell", names)
	}
}

func TestAStateTakenApartAndPutTogetherIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := anyHistory(t)
		cut := rapid.IntRange(0, len(history)).Draw(t, "cut")
		before := replay(history[:cut])
		size := rapid.IntRange(1, 40).Draw(t, "rows")
		loaded := again(t, before, size)
		if loaded.Hash() != before.Hash() {
			t.Fatalf("put together the state at %d has another hash", cut)
		}
		lowest, any := before.LowestPriority()
		if got, ok := loaded.LowestPriority(); got != lowest || ok != any || loaded.Leaving() != before.Leaving() {
			t.Fatalf("put together the state at %d knows lowest priority %d (%v) and leaving %v", cut, got, ok, loaded.Leaving())
		}
		for a, b := range zip(before.Chunks(size), loaded.Chunks(size)) {
			if a.Table != b.Table || a.Rows != b.Rows || !bytes.Equal(a.Data, b.Data) {
				t.Fatalf("put together the state at %d has another chunk of %s", cut, a.Table)
			}
		}
		// And what happens next leads to the same as if nothing had been between.
		if got, want := loaded.With(history[cut:]...).Hash(), replay(history).Hash(); got != want {
			t.Fatalf("from a snapshot at %d the history of %d events leads to another state", cut, len(history))
		}
	})
}

// zip goes through two sequences at once; the values are copies.
func zip(a, b func(func(projections.Chunk) bool)) func(func(x, y projections.Chunk) bool) {
	gather := func(of func(func(projections.Chunk) bool)) (all []projections.Chunk) {
		for c := range of {
			c.Data = bytes.Clone(c.Data)
			all = append(all, c)
		}
		return all
	}
	return func(yield func(x, y projections.Chunk) bool) {
		x, y := gather(a), gather(b)
		for n := range max(len(x), len(y)) {
			var p, q projections.Chunk
			if n < len(x) {
				p = x[n]
			}
			if n < len(y) {
				q = y[n]
			}
			if !yield(p, q) {
				return
			}
		}
	}
}

func TestSpecsAreKeptOnceAndSharedAgain(t *testing.T) {
	s := told()
	document := projectionstest.Document("web", 1)
	for slot := 1; slot < 50; slot++ {
		request(s, slot, 1, instance.CauseApplied, document)
	}
	specs := 0
	for chunk := range s.View().Chunks(1000) {
		if chunk.IsSpecs() {
			specs += chunk.Rows
		}
	}
	if specs != 1 {
		t.Errorf("%d specs are kept for one revision", specs)
	}
	loaded := again(t, s.View(), 7)
	a, _ := loaded.Instance(projectionstest.Key("web", 3, 1))
	b, _ := loaded.Instance(projectionstest.Key("web", 40, 1))
	if &a.Spec.Containers[0] != &b.Spec.Containers[0] {
		t.Error("two instances of one revision hold two specs")
	}
}

func TestAHasherSaysWhatEveryHashIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := projections.NewState()
		var h projections.Hasher
		every := rapid.IntRange(1, 9).Draw(t, "every")
		for n, e := range anyHistory(t) {
			s.Apply(e)
			if n%every == 0 {
				if got, want := h.Hash(s.View()), s.View().Hash(); got != want {
					t.Fatalf("at %d the hasher says %s, want %s", e.Sequence, got, want)
				}
			}
		}
	})
}

func TestWhatDiffersShowsInTheHash(t *testing.T) {
	// One field after the other is made zero; no two of the states have one hash.
	f := &filler{t: t}
	of := func(change int) string {
		f.n = 0
		n := 0
		c := projections.Filled(func(value any) {
			v := reflect.ValueOf(value).Elem()
			f.fill(v, v.Type().Name())
			each(v, func(leaf reflect.Value) {
				if n++; n == change {
					leaf.SetZero()
				}
			})
		})
		if change > n {
			return ""
		}
		return c.Hash()
	}
	seen := map[string]int{}
	for change := 0; ; change++ {
		hash := of(change)
		if hash == "" {
			if change < 100 {
				t.Fatalf("only %d fields were changed", change)
			}
			return
		}
		if other, ok := seen[hash]; ok {
			t.Fatalf("changes %d and %d have one hash", other, change)
		}
		seen[hash] = change
	}
}

// each visits the fields of a filled value that hold no further ones.
func each(v reflect.Value, visit func(reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		visit(v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			each(v.Field(i), visit)
		}
	case v.Kind() == reflect.Pointer:
		each(v.Elem(), visit)
	default:
		visit(v)
	}
}

func FuzzChunksThatAreDamagedAreRefused(f *testing.F) {
	s := told()
	s.Place(web, "n1")
	s.Ready(web)
	for chunk := range s.View().Chunks(100) {
		f.Add(chunk.Table, chunk.Rows, bytes.Clone(chunk.Data))
	}
	f.Fuzz(func(t *testing.T, table string, rows int, data []byte) {
		l := projections.NewLoader(1, projectionstest.Start)
		decoded, err := l.Decode(projections.Chunk{Table: table, Rows: rows, Data: data})
		if err != nil {
			if !errors.Is(err, events.ErrInvalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		l.Add(decoded)
		_ = l.Cluster().Hash()
	})
}
