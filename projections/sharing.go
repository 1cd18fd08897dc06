package projections

import (
	"bytes"
	"reflect"

	"github.com/rutter-run/rutter/events/spec"
)

// Instances of one revision share one decoded spec: their specs are equal and have the same first container in memory. That is looked at
// first, so that a hundred thousand instances cost as many comparisons of pointers and not as many encodings.

func firstContainer(s *spec.InstanceSpec) *spec.Container {
	if len(s.Containers) == 0 {
		return nil
	}
	return &s.Containers[0]
}

// sameSpec is quick where the two share what they are made of.
func sameSpec(a, b *spec.InstanceSpec) bool { return reflect.DeepEqual(a, b) }

// specTable numbers the distinct specs of a cluster.
type specTable struct {
	byContainer map[*spec.Container]int
	byBody      map[string]int
	all         []*spec.InstanceSpec
	body        bytes.Buffer
}

func newSpecTable() *specTable {
	return &specTable{byContainer: map[*spec.Container]int{}, byBody: map[string]int{}}
}

// number is the spec's, a new one where no equal spec was seen before.
func (t *specTable) number(s *spec.InstanceSpec) int {
	first := firstContainer(s)
	if n, ok := t.byContainer[first]; ok && first != nil && sameSpec(t.all[n], s) {
		return n
	}
	t.body.Reset()
	encode(&t.body, s)
	n, ok := t.byBody[t.body.String()]
	if !ok {
		n = len(t.all)
		t.all = append(t.all, s)
		t.byBody[t.body.String()] = n
	}
	if first != nil {
		t.byContainer[first] = n
	}
	return n
}
