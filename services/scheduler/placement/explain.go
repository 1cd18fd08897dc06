package placement

import (
	"maps"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/unplaced"
)

// Explain counts what every filter says of the nodes: of each node the first that refuses.
func (p *Pool) Explain(t *Task) unplaced.UnplaceableV2 {
	type key struct {
		filter int
		detail string
	}
	counts := map[key]int{}
	for _, n := range p.Nodes {
		for at, f := range t.filters {
			if !f.pass(p, n, t) {
				counts[key{at, f.why(p, n, t)}]++
				break
			}
		}
	}
	why := unplaced.UnplaceableV2{Nodes: len(p.Nodes)}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b key) int {
		if a.filter != b.filter {
			return a.filter - b.filter
		}
		return strings.Compare(a.detail, b.detail)
	}) {
		why.Reasons = append(why.Reasons, unplaced.Reason{Filter: t.filters[k.filter].Name, Detail: k.detail, Nodes: counts[k]})
	}
	return why
}
