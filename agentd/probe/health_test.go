package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events/spec"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func asks(delay, period, good, bad int) *spec.Probe {
	return &spec.Probe{TCPSocket: &spec.TCPProbe{Port: "80"}, InitialDelaySeconds: delay, PeriodSeconds: period, SuccessThreshold: good, FailureThreshold: bad}
}

// play asks a container whose answers are scripted (+ good, - bad, in the order asked) and tells what happened.
func play(c spec.Container, answers map[Kind]string) (story []string) {
	h := Begin(c, start, false, false)
	if h.Ready() {
		story = append(story, "0s ready")
	}
	clock := start
	for range 1000 {
		k, at, ok := h.Next(c)
		if !ok || answers[k] == "" {
			return story
		}
		if at.Before(clock) {
			at = clock // due already when the startup probe passed
		}
		clock = at
		good := answers[k][0] == '+'
		answers[k] = answers[k][1:]
		var change Change
		var message string
		h, change, message = h.Take(c, k, Answer{Good: good, Message: "no"}, at)
		switch after := at.Sub(start); change {
		case NowReady:
			story = append(story, fmt.Sprintf("%s ready", after))
		case NotReady:
			story = append(story, fmt.Sprintf("%s not ready: %s", after, message))
		case Finished:
			return append(story, fmt.Sprintf("%s over: %s", after, message))
		}
	}
	return append(story, "never ends")
}

func TestThresholds(t *testing.T) {
	for name, c := range map[string]struct {
		container spec.Container
		answers   map[Kind]string
		want      []string
	}{
		"without probes it is ready when it runs": {spec.Container{}, nil, []string{"0s ready"}},
		"readiness comes and goes": {
			spec.Container{ReadinessProbe: asks(0, 10, 1, 3)}, map[Kind]string{Readiness: "--+--+---++"},
			[]string{"20s ready", "1m20s not ready: readiness probe failed 3 times: no", "1m30s ready"},
		},
		"readiness that never came fails once": {
			spec.Container{ReadinessProbe: asks(5, 10, 1, 2)}, map[Kind]string{Readiness: "-----"},
			[]string{"15s not ready: readiness probe failed 2 times: no"},
		},
		"several good answers in a row": {
			spec.Container{ReadinessProbe: asks(0, 1, 3, 1)}, map[Kind]string{Readiness: "++-+++-"},
			[]string{"2s not ready: readiness probe failed once: no", "5s ready", "6s not ready: readiness probe failed once: no"},
		},
		"liveness ends the run and readiness is not touched": {
			spec.Container{LivenessProbe: asks(3, 2, 1, 3)}, map[Kind]string{Liveness: "+--+---"},
			[]string{"0s ready", "15s over: liveness probe failed 3 times: no"},
		},
		"startup holds the others back": {
			spec.Container{StartupProbe: asks(0, 1, 1, 5), LivenessProbe: asks(0, 1, 1, 1), ReadinessProbe: asks(0, 1, 1, 1)},
			map[Kind]string{Startup: "---+", Liveness: "+-", Readiness: "+++"},
			[]string{"3s ready", "4s over: liveness probe failed once: no"},
		},
		"startup that never passes ends the run": {
			spec.Container{StartupProbe: asks(1, 1, 1, 3), LivenessProbe: asks(0, 1, 1, 1)},
			map[Kind]string{Startup: "---", Liveness: "-"}, []string{"3s over: startup probe failed 3 times: no"},
		},
		"started is ready where nothing else is asked": {
			spec.Container{StartupProbe: asks(0, 10, 1, 3)}, map[Kind]string{Startup: "-+"}, []string{"10s ready"},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, play(c.container, c.answers)) })
	}
}

func TestAnAgentThatLooksAgainGoesOn(t *testing.T) {
	c := spec.Container{StartupProbe: asks(0, 1, 1, 1), ReadinessProbe: asks(0, 1, 1, 2)}
	h := Begin(c, start, true, true)
	require.True(t, h.Ready())
	k, _, ok := h.Next(c)
	require.True(t, ok)
	require.Equal(t, Readiness, k, "it has started")
	h, change, _ := h.Take(c, Readiness, Answer{}, start)
	require.Equal(t, None, change)
	_, change, _ = h.Take(c, Readiness, Answer{}, start)
	require.Equal(t, NotReady, change)
}

// Whatever a container answers: what is said of it alternates, it is over once at most and only after as many bad answers in a row as it may
// give, nothing else is asked before it has started, and no probe is asked more often than its period.
func TestWhatIsSaidAlternatesAndOnlyAThresholdEndsARun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *spec.Probe {
			if !rapid.Bool().Draw(t, name) {
				return nil
			}
			n := rapid.IntRange(1, 4)
			return asks(n.Draw(t, "delay")-1, n.Draw(t, "period"), n.Draw(t, "good"), n.Draw(t, "bad"))
		}
		c := spec.Container{StartupProbe: draw("startup"), LivenessProbe: draw("liveness"), ReadinessProbe: draw("readiness")}
		h := Begin(c, start, false, false)
		ready := h.Ready()
		require.Equal(t, !c.Probed(), ready)
		bad, last := map[Kind]int{}, map[Kind]time.Time{}
		clock := start
		for range rapid.IntRange(0, 60).Draw(t, "questions") {
			k, at, ok := h.Next(c)
			if !ok {
				require.True(t, c.LivenessProbe == nil && c.ReadinessProbe == nil)
				break
			}
			require.Equal(t, h.Up(), k != Startup)
			if asked, before := last[k]; before {
				require.GreaterOrEqual(t, at.Sub(asked), of(c, k).Period())
			}
			if at.Before(clock) {
				at = clock // it could not be asked in time
			}
			clock, last[k] = at, at
			a := Answer{Good: rapid.Bool().Draw(t, "good"), Message: "no"}
			if bad[k]++; a.Good {
				bad[k] = 0
			}
			var change Change
			var message string
			h, change, message = h.Take(c, k, a, at)
			switch change {
			case NowReady:
				require.False(t, ready)
				require.True(t, a.Good)
				ready = true
			case NotReady:
				require.Equal(t, Readiness, k)
				require.GreaterOrEqual(t, bad[k], of(c, k).FailureThreshold)
				ready = false
			case Finished:
				require.NotEqual(t, Readiness, k)
				require.Equal(t, of(c, k).FailureThreshold, bad[k])
				require.True(t, strings.HasPrefix(message, string(k)))
				return
			}
			require.Equal(t, ready, h.Ready())
			if k != Readiness {
				require.Less(t, bad[k], of(c, k).FailureThreshold)
			}
		}
	})
}
