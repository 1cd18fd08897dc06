package httpapi

import (
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/projections"
)

// A message that is no CloudEvent stands in the log for ever: whoever follows must see that there is one, and fold the same state.
func TestWhatIsMalformedInTheLogGoesOutAsAnEvent(t *testing.T) {
	for _, e := range []events.Event{
		{Sequence: 7, Subject: "evt.node.n1", Data: events.Malformed{Raw: []byte{0xff, 0}, Problem: "ce-id is missing"}},
		{Sequence: 7, Subject: "evt.node.n1", ID: "x", Type: "t", Source: "s", Time: time.Unix(5, 7).UTC(), Data: events.Malformed{Type: "t", Problem: `"quoted"`}},
	} {
		var got sdk.Event
		require.NoError(t, got.UnmarshalJSON(cloudEvent(e)))
		require.NoError(t, got.Validate())
		own, err := cloudevent.FromJSON(catalog.New(), cloudEvent(e))
		require.NoError(t, err)
		require.EqualValues(t, 7, own.Sequence)
		require.Equal(t, projections.Empty().With(e).Hash(), projections.Empty().With(own).Hash(), "it folds to the same state")
	}
}
