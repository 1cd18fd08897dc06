package subscription

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// filter chooses events by what their subjects name, and by type.
type filter struct {
	aggregates                        []events.Aggregate
	namespace, workload, instance, on string
	types                             []string
}

// layout is what the words of an aggregate's subject name, in order.
type layout struct {
	aggregate events.Aggregate
	words     []string
}

var layouts = []layout{
	{events.AggregateWorkload, []string{partNamespace, partWorkload}},
	{events.AggregateInstance, []string{partNamespace, partWorkload, partInstance}},
	{events.AggregateUnplaced, []string{partNamespace, partWorkload, partInstance}},
	{events.AggregateReport, []string{partNode, partNamespace, partWorkload, partInstance}},
	{events.AggregateLedger, []string{partNode}},
	{events.AggregateNode, []string{partNode}},
	{events.AggregateCommand, []string{partService}},
}

const (
	partNamespace = "namespace"
	partWorkload  = "workload"
	partInstance  = "instance"
	partNode      = "node"
	partService   = "service"
)

// patterns are the NATS subjects that the filter covers; none where it covers all, also aggregates that this version does not know.
func (f filter) patterns() ([]string, error) {
	if len(f.aggregates) == 0 && len(f.wanted()) == 0 && len(f.types) == 0 {
		return nil, nil
	}
	var patterns []string
	known := map[events.Aggregate]bool{}
	for _, l := range layouts {
		known[l.aggregate] = true
		if pattern, ok := f.pattern(l); ok && f.takes(l.aggregate) {
			patterns = append(patterns, pattern)
		}
	}
	for _, later := range f.aggregates {
		if !known[later] && len(f.wanted()) == 0 {
			patterns = append(patterns, events.EventPrefix+string(later)+".>")
		}
	}
	if len(patterns) == 0 {
		return nil, fmt.Errorf("no subject of the aggregates %q names %s: %w", f.aggregates, strings.Join(f.wanted(), " and "), events.ErrInvalid)
	}
	return patterns, nil
}

// takes reports whether events of an aggregate can be meant.
func (f filter) takes(a events.Aggregate) bool {
	if len(f.aggregates) > 0 && !slices.Contains(f.aggregates, a) {
		return false
	}
	return len(f.types) == 0 || slices.ContainsFunc(f.types, func(t string) bool { return aggregateOf(t) == a })
}

// pattern is the subjects of an aggregate; not ok where they do not name what is asked for.
func (f filter) pattern(l layout) (pattern string, ok bool) {
	given := map[string]string{partNamespace: f.namespace, partWorkload: f.workload, partInstance: f.instance, partNode: f.on}
	for _, want := range f.wanted() {
		if !slices.Contains(l.words, want) {
			return "", false
		}
	}
	pattern = events.EventPrefix + string(l.aggregate)
	for _, word := range l.words {
		value := given[word]
		if value == "" {
			value = "*"
		}
		pattern += "." + value
	}
	return pattern, true
}

// wanted are the words that the filter gives.
func (f filter) wanted() (words []string) {
	for _, w := range []struct{ name, value string }{
		{partNamespace, f.namespace}, {partWorkload, f.workload}, {partInstance, f.instance}, {partNode, f.on},
	} {
		if w.value != "" {
			words = append(words, w.name)
		}
	}
	return words
}

// passes reports whether an event's type is one of those asked for, whatever its version where none was given.
func (f filter) passes(wireType string) bool {
	return len(f.types) == 0 || slices.ContainsFunc(f.types, func(t string) bool {
		return wireType == t || versionless(wireType) == t
	})
}

// versionless is a wire type without its version: run.rutter.node.left of run.rutter.node.left.v2.
func versionless(wireType string) string {
	i := strings.LastIndex(wireType, ".v")
	if i < 0 {
		return wireType
	}
	return wireType[:i]
}

// aggregateOf is the aggregate of a wire type, which is its third word.
func aggregateOf(wireType string) events.Aggregate {
	words := strings.Split(wireType, ".")
	if len(words) < 3 {
		return ""
	}
	return events.Aggregate(words[2])
}
