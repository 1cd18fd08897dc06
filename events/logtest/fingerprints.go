package logtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

var fingerprintCases = map[string]func(*testing.T, Fixture){
	"all who hear are told": func(t *testing.T, f Fixture) {
		ctx, cancel := context.WithCancel(Context(t))
		defer cancel()
		teller, want := f.Fingerprints(t), events.Fingerprint{Service: Name("service"), Holder: "here", Version: 3, Sequence: 7, Hash: "sha256:00"}
		heard, ended := make(chan events.Fingerprint, 64), make(chan error, 2)
		for range 2 {
			hearer := f.Fingerprints(t)
			go func() {
				ended <- hearer.Hear(ctx, func(got events.Fingerprint) {
					if got.Service == want.Service {
						select {
						case heard <- got:
						default:
						}
					}
				})
			}()
		}
		// Nothing says when they hear: it is told again until both have.
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for n := 0; n < 2; {
			require.NoError(t, teller.Tell(ctx, want))
			select {
			case got := <-heard:
				require.Equal(t, want, got)
				n++
			case <-again.C:
			case <-ctx.Done():
				t.Fatal("told in vain")
			}
		}
		cancel()
		for range 2 {
			require.ErrorIs(t, Receive(t, Context(t), "the end", ended), context.Canceled)
		}
	},
}
