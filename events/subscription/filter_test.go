package subscription

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
)

// The third word of an event's type is the aggregate under whose subjects it stands; commands are not events.
func TestEveryTypeNamesItsAggregate(t *testing.T) {
	for _, wireType := range catalog.New().Types() {
		require.True(t, slices.ContainsFunc(layouts, func(l layout) bool { return l.aggregate == aggregateOf(wireType) }), wireType)
	}
}

func TestEverySubjectHasALayout(t *testing.T) {
	key := events.InstanceKey{Namespace: "ns", Workload: "web", Name: "web-0-1"}
	for _, subject := range []events.Subject{
		events.WorkloadSubject("ns", "web"), events.InstanceSubject(key), events.UnplacedSubject(key), events.ReportSubject("n", key),
		events.LedgerSubject("n"), events.NodeSubject("n"), events.CommandSubject("reconciler"),
	} {
		patterns, err := filter{aggregates: []events.Aggregate{subject.Aggregate()}}.patterns()
		require.NoError(t, err)
		require.Len(t, patterns, 1)
		require.True(t, subject.Matches(patterns[0]), "%s %s", subject, patterns[0])
	}
	require.Len(t, layouts, 7)
}

// The patterns cover the subjects that name all that is asked for, and no others.
func TestPatternsCoverWhatIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(label string) string { return rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, label) }
		f := filter{namespace: word("namespace"), workload: word("workload"), instance: word("instance"), on: word("node")}
		for _, l := range layouts {
			if rapid.Bool().Draw(t, "ask for "+string(l.aggregate)) {
				f.aggregates = append(f.aggregates, l.aggregate)
			}
		}
		patterns, err := f.patterns()
		l := rapid.SampledFrom(layouts).Draw(t, "layout")
		words, named := []string{"evt", string(l.aggregate)}, map[string]string{}
		for _, part := range l.words {
			named[part] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, part)
			words = append(words, named[part])
		}
		subject := events.Subject(strings.Join(words, "."))
		want := len(f.aggregates) == 0 || slices.Contains(f.aggregates, l.aggregate)
		for part, asked := range map[string]string{partNamespace: f.namespace, partWorkload: f.workload, partInstance: f.instance, partNode: f.on} {
			want = want && (asked == "" || named[part] == asked)
		}
		got := err == nil && (patterns == nil || slices.ContainsFunc(patterns, subject.Matches))
		require.Equal(t, want, got, "%v %s", patterns, subject)
	})
}

func TestAnAggregateOfALaterVersion(t *testing.T) {
	patterns, err := filter{aggregates: []events.Aggregate{"pool", events.AggregateNode}}.patterns()
	require.NoError(t, err)
	require.Equal(t, []string{"evt.node.*", "evt.pool.>"}, patterns)
}
