package app_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

// electing is a command stream without a leader for the first tries: it may store what it does not acknowledge.
func electing(tries int32, stores bool, failure error) (*memlog.Commands, *atomic.Int32) {
	var n atomic.Int32
	return memlog.NewCommands(catalog.New(), memlog.Faults{Send: func(_ context.Context, _ events.Command, store func() error) error {
		if n.Add(1) > tries {
			return store()
		}
		if stores {
			_ = store()
		}
		return fmt.Errorf("injected: %w", failure)
	}}), &n
}

func TestACommandIsSentAgainThroughAnElection(t *testing.T) {
	for _, failure := range []error{events.ErrUnavailable, events.ErrUnknown, events.ErrBusy} {
		for _, stores := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, stored %v", failure, stores), func(t *testing.T) {
				commands, tries := electing(3, stores, failure)
				r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { r.Commands, c.Commands = commands, commands })
				result, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), nil)
				require.NoError(t, err)
				require.Equal(t, api.VerdictCreated, result.Verdict)
				require.GreaterOrEqual(t, tries.Load(), int32(2))
				list, err := r.App.Now().Operations(app.Page{})
				require.NoError(t, err)
				require.Len(t, list.Items, 1, "it is one command, however often it was sent")
			})
		}
	}
}

func TestACommandThatIsRefusedIsNotSentAgain(t *testing.T) {
	for _, failure := range []error{events.ErrTooLarge, events.ErrDenied, events.ErrInvalid} {
		commands, tries := electing(1<<30, false, failure)
		r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { r.Commands, c.Commands = commands, commands })
		_, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), nil)
		require.ErrorIs(t, err, failure)
		require.Equal(t, int32(1), tries.Load())
	}
}

func TestThePatienceWithAnElectionIsBounded(t *testing.T) {
	commands, _ := electing(1<<30, false, events.ErrUnavailable)
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) {
		r.Commands, c.Commands, c.SendWait = commands, commands, 10*time.Millisecond
	})
	_, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), nil)
	require.ErrorIs(t, err, events.ErrUnavailable)
	list, err := r.App.Now().Operations(app.Page{})
	require.NoError(t, err)
	require.Empty(t, list.Items)
}

func TestAnIdempotencyKeyOfAnotherGatewayIsNotTakenForItsOwn(t *testing.T) {
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { r.Undecided, c.DecisionWait = true, time.Minute })
	by := gatewaytest.By
	by.IdempotencyKey = "shared"
	var asking sync.WaitGroup
	answers := make([]error, 2)
	for n := range answers { // two gateways that do not know of each other
		config := r.App.Config
		other := app.New(config)
		asking.Go(func() {
			_, answers[n] = other.Apply(t.Context(), by, gatewaytest.Document("web", n+1), nil)
		})
	}
	r.Decide(t.Context())
	asking.Wait()
	wins, conflicts := 0, 0
	for _, err := range answers {
		if err == nil {
			wins++
		} else {
			require.ErrorIs(t, err, events.ErrConflict)
			conflicts++
		}
	}
	require.Equal(t, [2]int{1, 1}, [2]int{wins, conflicts})
}

func TestReadsAnswerWhileTheLogElects(t *testing.T) {
	var down atomic.Bool
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { c.Log = leaderless{c.Log, &down} })
	r.Apply(gatewaytest.Document("web", 1))
	last := r.View.View().Sequence()
	down.Store(true)
	_, err := r.App.Now().Workload("default", "web")
	require.NoError(t, err)
	require.NoError(t, r.App.CatchUp(t.Context(), last))
	page, _, err := r.App.Now().Events(t.Context(), 0, app.Filter{}, 100)
	require.NoError(t, err)
	require.Len(t, page, int(last))
	why, err := r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateWorkload, Namespace: "default", Name: "web"})
	require.NoError(t, err)
	require.NotEmpty(t, why.Because)
	require.ErrorIs(t, r.App.Ready(t.Context()), events.ErrUnavailable, "who balances load sends writes elsewhere")
}

// leaderless is a log whose leader does not answer while its replicas can be read.
type leaderless struct {
	events.Log
	down *atomic.Bool
}

func (l leaderless) Last(ctx context.Context) (uint64, error) {
	if l.down.Load() {
		return 0, fmt.Errorf("injected: %w", events.ErrUnknown)
	}
	return l.Log.Last(ctx)
}
