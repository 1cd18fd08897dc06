package agentd_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/agentd"
	"github.com/rutter-run/rutter/agentd/runtime/sim"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

var webKey = events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}

// node is an agent with simulated containers, in virtual time.
type node struct {
	t       *testing.T
	dir     string
	log     *memlog.Log
	runtime *sim.Runtime
}

func newNode(t *testing.T) *node {
	return &node{t: t, dir: t.TempDir(), log: memlog.New(catalog.New()), runtime: sim.New(sim.Config{})}
}

// assign gives the node an instance of one container.
func (n *node) assign(policy spec.RestartPolicy, c spec.Container) {
	c.Name, c.Image = "main", spec.ImageRef{Registry: "docker.io", Repository: "library/web", Tag: "1"}
	c.Default()
	_, err := n.log.Append(n.t.Context(), events.Batch{{Subject: events.LedgerSubject("n1"), Events: []events.Event{{
		ID: "a1", Source: "/rutter/scheduler", Data: ledger.AssignedV2{
			Instance: webKey, Generation: 1, Spec: spec.InstanceSpec{Containers: []spec.Container{c}, RestartPolicy: policy, GracePeriod: spec.Duration(time.Second)},
		},
	}}}})
	require.NoError(n.t, err)
}

// live runs the agent for a while.
func (n *node) live(d time.Duration) {
	quiet := logrus.New()
	quiet.SetLevel(logrus.PanicLevel)
	agent, err := agentd.New(agentd.Config{Node: "n1", Key: "k", Incarnation: "i", DataDir: n.dir, Heartbeat: time.Second, ParallelStarts: 2}, n.runtime,
		agentd.Connections{
			Log: n.log, Commands: memlog.NewCommands(catalog.New(), memlog.Faults{}), Heartbeats: memlog.NewHeartbeats(memlog.Faults{}),
			Reach: func(context.Context) error { return nil },
		}, logrus.NewEntry(quiet))
	require.NoError(n.t, err)
	ctx, cancel := context.WithTimeout(n.t.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = agent.Run(ctx) })
	running.Wait()
}

// said is what the agent reported, in words, each with how long after the first start it was said.
func (n *node) said() (all []string, payloads []events.Payload) {
	var began time.Time
	err := n.log.Read(n.t.Context(), events.ReportSubject("n1", webKey), 0, func(e events.Event) error {
		if s, ok := e.Data.(report.StartedV1); ok && began.IsZero() {
			began = s.At
		}
		switch e.Data.(type) {
		case report.PullingV1, report.CreatedV1:
			return nil
		}
		after := ""
		if !began.IsZero() {
			after = e.Time.Sub(began).Round(time.Second).String() + " "
		}
		all, payloads = append(all, after+e.Type[len("run.rutter.report."):]), append(payloads, e.Data)
		return nil
	})
	require.NoError(n.t, err)
	return all, payloads
}

func asks(period, failures int) *spec.Probe {
	return &spec.Probe{TCPSocket: &spec.TCPProbe{Port: "80"}, PeriodSeconds: period, FailureThreshold: failures}
}

func env(pairs ...string) (all []spec.EnvVar) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, spec.EnvVar{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestReadinessIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartAlways, spec.Container{ReadinessProbe: asks(2, 2), Env: env("SIM_READY_AFTER", "5s", "SIM_HANG_AFTER", "13s")})
		n.live(30 * time.Second)
		said, payloads := n.said()
		require.Equal(t, []string{"0s started.v1", "2s unhealthy.v1", "6s healthy.v1", "16s unhealthy.v1"}, said)
		require.Equal(t, report.UnhealthyV1{Container: "main", Run: 1, Message: "readiness probe failed 2 times: it hangs, as scripted"}, payloads[3])
	})
}

func TestLivenessRunsTheContainerAgainAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartOnFailure, spec.Container{LivenessProbe: asks(1, 3), Env: env("SIM_HANG_AFTER", "4s")})
		n.live(10 * time.Second)
		said, payloads := n.said()
		require.Equal(t, []string{"0s started.v1", "6s exited.v1", "6s started.v1"}, said[:3])
		exit := payloads[1].(report.ExitedV1)
		require.Equal(t, report.ReasonProbeFailed, exit.Reason)
		require.Equal(t, "liveness probe failed 3 times: it hangs, as scripted", exit.Message)
		require.Equal(t, 2, payloads[2].(report.StartedV1).Run)
	})
}

func TestAContainerThatGoesOnFailingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartAlways, spec.Container{LivenessProbe: asks(1, 1), Env: env("SIM_HANG_AFTER", "0s")})
		n.live(5 * time.Second)
		_, payloads := n.said()
		restarting, ok := payloads[4].(report.RestartingV1)
		require.True(t, ok, "%v", payloads)
		require.Equal(t, "liveness probe failed once: it hangs, as scripted", restarting.Message)
	})
}

func TestStartupHoldsTheOthersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartAlways, spec.Container{
			StartupProbe: asks(1, 30), LivenessProbe: asks(1, 1), ReadinessProbe: asks(1, 1), Env: env("SIM_READY_AFTER", "10s"),
		})
		n.live(20 * time.Second)
		said, _ := n.said()
		require.Equal(t, []string{"0s started.v1", "10s healthy.v1"}, said)
	})
}

func TestAProbedRunThatIsNotToRunAgainFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartNever, spec.Container{StartupProbe: asks(1, 2), Env: env("SIM_READY_AFTER", "1h")})
		n.live(10 * time.Second)
		said, payloads := n.said()
		require.Equal(t, []string{"0s started.v1", "1s exited.v1", "1s stopped.v1"}, said)
		require.Equal(t, report.OutcomeFailed, payloads[2].(report.StoppedV1).Outcome)
	})
}

// A new agent says nothing again that the one before it has said, and goes on asking.
func TestProbesGoOnWithTheNextAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.assign(spec.RestartAlways, spec.Container{ReadinessProbe: asks(2, 1), StartupProbe: asks(1, 5), Env: env("SIM_READY_AFTER", "3s", "SIM_HANG_AFTER", "21s")})
		n.live(10 * time.Second)
		n.live(7 * time.Second)
		n.live(10 * time.Second)
		said, _ := n.said()
		require.Equal(t, []string{"0s started.v1", "3s healthy.v1"}, said[:2])
		require.Len(t, said, 3, "%v", said)
		require.Contains(t, said[2], "unhealthy")
	})
}

// revoke takes the instance back.
func (n *node) revoke(expect uint64) {
	_, err := n.log.Append(n.t.Context(), events.Batch{{Subject: events.LedgerSubject("n1"), Expect: expect, Events: []events.Event{{
		ID: "r1", Source: "/rutter/scheduler", Data: ledger.RevokedV2{Instance: webKey, Generation: 1, Grace: spec.Duration(10 * time.Second)},
	}}}})
	require.NoError(n.t, err)
}

// A pre-stop hook comes before the stop signal and within the grace period, whoever stops the container; it ends with the container.
func TestPreStop(t *testing.T) {
	sleep := func(seconds int) *spec.Lifecycle {
		return &spec.Lifecycle{PreStop: &spec.Hook{Sleep: &spec.SleepHook{Seconds: seconds}}}
	}
	for name, c := range map[string]struct {
		container spec.Container
		want      []string // of a container that is revoked after five seconds, with ten seconds of grace
	}{
		"none":                          {spec.Container{}, []string{"0s started.v1", "5s exited.v1", "5s stopped.v1"}},
		"done":                          {spec.Container{Lifecycle: sleep(3)}, []string{"0s started.v1", "8s exited.v1", "8s stopped.v1"}},
		"cut short":                     {spec.Container{Lifecycle: sleep(60)}, []string{"0s started.v1", "15s exited.v1", "15s stopped.v1"}},
		"the container is done earlier": {spec.Container{Lifecycle: sleep(8), Env: env("SIM_EXIT_AFTER", "7s")}, []string{"0s started.v1", "7s exited.v1", "7s stopped.v1"}},
		"a command": {
			spec.Container{Lifecycle: &spec.Lifecycle{PreStop: &spec.Hook{Exec: &spec.ExecProbe{Command: []string{"bye"}}}}},
			[]string{"0s started.v1", "5s exited.v1", "5s stopped.v1"},
		},
		"before a probe's verdict is carried out too": {
			spec.Container{Lifecycle: sleep(60), LivenessProbe: asks(1, 1), Env: env("SIM_HANG_AFTER", "2s")},
			[]string{"0s started.v1", "3s exited.v1", "3s started.v1"}, // the instance's own grace of one second
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				n.assign(spec.RestartOnFailure, c.container)
				time.AfterFunc(5*time.Second, func() { n.revoke(1) })
				n.live(40 * time.Second)
				said, _ := n.said()
				require.Equal(t, c.want, said[:min(len(said), 3)])
			})
		})
	}
}
