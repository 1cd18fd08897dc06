package subscribers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/subscription"
)

var (
	kills = flag.Int("kills", 17, "how often a subscriber of each kind is killed")
	seed  = flag.Uint64("seed", 1, "of the moments at which it is killed")
)

// A subscriber that is killed again and again, at moments of its own choosing (before, within and after the keeping of its position) and at any
// others, has in the end handled every event once and in order.
func TestKilledSubscribersLoseNothingAndDoubleNothing(t *testing.T) {
	for _, mode := range []string{"file", "bucket", "journal"} {
		t.Run(mode, func(t *testing.T) { killAgainAndAgain(t, mode) })
	}
}

func killAgainAndAgain(t *testing.T, mode string) {
	r := newRig(t)
	file, creds := filepath.Join(t.TempDir(), "position"), r.creds(mode)
	dice := rand.New(rand.NewPCG(*seed, uint64(len(mode))))
	start := func(steps int, until uint64) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envMode+"="+mode, envURL+"="+r.server.URL(), envCreds+"="+creds, envFile+"="+file,
			fmt.Sprintf("%s=%d", envSteps, steps), fmt.Sprintf("%s=%d", envUntil, until))
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		up, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "up\n", up)
		return cmd
	}
	var want []string
	died := 0
	for i := range *kills {
		for range 1 + dice.IntN(5) {
			var facts []events.Payload
			for range 1 + dice.IntN(4) {
				facts = append(facts, node.ReadyV1{})
			}
			want = append(want, r.say(fmt.Sprintf("n%d", dice.IntN(3)), facts...)...)
		}
		steps := 0
		if i%2 == 0 {
			steps = 1 + dice.IntN(30)
		}
		cmd := start(steps, 0)
		moment := time.Duration(dice.Int64N(int64(40 * time.Millisecond)))
		time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
		want = append(want, r.say("live", node.ReadyV1{}, node.ReadyV1{})...)
		require.ErrorContains(t, cmd.Wait(), "killed", "it ends by the kill alone")
		died++
	}
	last, err := r.log.Last(logtest.Context(t))
	require.NoError(t, err)
	end := start(0, last)
	ending := time.AfterFunc(logtest.Deadline, func() { _ = end.Process.Kill() })
	require.NoError(t, end.Wait(), "the last one reaches the end")
	ending.Stop()

	var whole census
	for _, id := range want {
		whole = tally(whole, events.Event{ID: id})
	}
	require.EqualValues(t, last, whole.Count)
	if mode == "journal" {
		lines, _, err := (&journal{path: file}).read()
		require.NoError(t, err)
		var got []string
		for _, l := range lines {
			got = append(got, l.Effect[len("handled "):])
		}
		require.Equal(t, want, got)
	} else {
		var store subscription.Store = subscription.File(file)
		if mode == "bucket" {
			nc, err := jetstream.Connect(r.server.URL(), creds)
			require.NoError(t, err)
			defer nc.Close()
			store = jetstream.Open(nc, catalog.New()).Position(mode)
		}
		at, err := store.Load(context.Background())
		require.NoError(t, err)
		var got census
		require.NoError(t, json.Unmarshal(at.State, &got))
		require.Equal(t, whole, got)
	}
	t.Logf("%s: killed %d times over %d events: every one handled once, in order", mode, died, last)
}
