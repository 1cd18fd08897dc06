package sim

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

// incident is one thing that happens to a workload of its own, and what is told of the instance that came of it, or went by it.
type incident struct {
	name     string // of the workload, and of the cause
	instance string // whose why is asked for
	room     string // the machines that it may run on; empty: the rest
	alter    func(*spec.Workload)
	happens  func(*calm)                                       // once the first instance is ready; nil: nothing
	done     func(view *projections.Cluster, name string) bool // when it has come about
	fate     []events.Payload                                  // what the agent reports of the first instance, in place of its being ready for ever
	want     []string                                          // words of the why
}

// incidents are the causes that have to be told apart for ever.
func incidents() []incident {
	exists := func(slot, attempt int) func(*projections.Cluster, string) bool {
		return func(view *projections.Cluster, name string) bool {
			i, ok := view.Instance(projectionstest.Key(name, slot, attempt))
			return ok && i.Phase == spec.PhaseReady
		}
	}
	failed := func(exit report.ExitedV1) []events.Payload {
		exit.Container, exit.Run = "main", 1
		return []events.Payload{exit, report.StoppedV1{Outcome: report.OutcomeFailed}}
	}
	return []incident{
		{name: "applied", instance: "applied-0-1", done: exists(0, 1), want: []string{"(Applied)", "applied: revision 1", `because "first of all"`}},
		{name: "scaled", instance: "scaled-1-1", done: exists(1, 1), want: []string{"(Scaled)", "scaled from 1 to 2"}, happens: func(c *calm) {
			c.ask("scaled", workload.ScaleV1{Replicas: 2})
		}},
		{name: "rolled-out", instance: "rolled-out-0-2", done: exists(0, 2), want: []string{"(RolledOut)", "applied: revision 2"}, happens: func(c *calm) {
			c.ask("rolled-out", workload.ApplyV1{Workload: projectionstest.Document("rolled-out", 1, in("rest"), func(w *spec.Workload) { w.Spec.RestartPolicy = spec.RestartNever }, projectionstest.Tag("v2"))})
		}},
		{name: "node-lost", instance: "node-lost-0-2", done: exists(0, 2), want: []string{"(NodeLost)", "lost after", "of silence"}, room: "two", happens: func(c *calm) {
			c.machines[c.nodeOf("node-lost")]()
		}},
		{name: "drained", instance: "drained-0-2", done: exists(0, 2), want: []string{"(Drained)", "draining", "by user:op"}, room: "others", happens: func(c *calm) {
			c.tell(c.nodeOf("drained"), node.DrainV1{})
		}},
		{name: "preempted", instance: "preempted-0-2", want: []string{"(Preempted)", "urgent-0-1"}, room: "full", alter: func(w *spec.Workload) {
			w.Spec.Priority = spec.PriorityLow
			w.Spec.Containers[0].Resources.Requests.CPU = 3000
		}, happens: func(c *calm) {
			c.ask("urgent", workload.ApplyV1{Workload: projectionstest.Document("urgent", 1, in("full"), func(w *spec.Workload) {
				w.Spec.Priority = spec.PriorityCritical
				w.Spec.Containers[0].Resources.Requests.CPU = 3000
			})})
		}, done: func(view *projections.Cluster, _ string) bool {
			i, ok := view.Instance(projectionstest.Key("preempted", 0, 2))
			return ok && i.Unplaceable != nil
		}},
		{name: "out-of-memory", instance: "out-of-memory-0-2", done: exists(0, 2), fate: failed(report.ExitedV1{Code: 137, Signal: 9, OOM: true}), want: []string{"(Failed)", "out of memory"}},
		{name: "exited", instance: "exited-0-2", done: exists(0, 2), fate: failed(report.ExitedV1{Code: 3}), want: []string{"(Failed)", "exited with code 3"}},
		{name: "probe-failed", instance: "probe-failed-0-2", done: exists(0, 2), fate: failed(report.ExitedV1{
			Code: 143, Signal: 15, Reason: report.ReasonProbeFailed, Message: "liveness probe failed 3 times: HTTP 503",
		}), want: []string{"(Failed)", "because a probe failed: liveness probe failed 3 times: HTTP 503"}},
		{name: "no-image", instance: "no-image-0-2", done: exists(0, 2), fate: []events.Payload{report.RejectedV1{Reason: "ImageNotFound", Message: "no such tag"}}, want: []string{"(Failed)", "ImageNotFound"}},
		{name: "no-room", instance: "no-room-0-1", want: []string{"unplaceable", "short of cpu"}, alter: func(w *spec.Workload) {
			w.Spec.Containers[0].Resources.Requests.CPU = 1_000_000
		}, done: func(view *projections.Cluster, name string) bool {
			i, ok := view.Instance(projectionstest.Key(name, 0, 1))
			return ok && i.Unplaceable != nil
		}},
		{name: "by-hand", instance: "by-hand-0-2", done: exists(0, 2), want: []string{"(ByHand)", "revoked by hand by user:ada", `because "it looked ill"`}, happens: func(c *calm) {
			c.say(events.Command{
				ID: "by-hand", Subject: events.WorkloadCommand("default", "by-hand"), Actor: "user:ada", Reason: "it looked ill", Time: time.Now(),
				Data: instance.StopV1{Instance: "by-hand-0-1"},
			})
		}},
	}
}

// rooms keep apart what must not disturb each other.
var rooms = map[string][]string{"rest": {"n0", "n1", "n2"}, "two": {"n3", "n4"}, "others": {"n5", "n6"}, "full": {"n7"}}

func in(room string) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Spec.NodeSelector = map[string]string{"room": cmp.Or(room, "rest")} }
}

// nodeOf is where a workload's first instance runs.
func (c *calm) nodeOf(name string) string {
	i, _ := c.follower.View().Instance(projectionstest.Key(name, 0, 1))
	return i.Node
}

func (c *calm) say(command events.Command) {
	c.t.Helper()
	command.Type = command.Data.WireType()
	if err := c.commands.Send(c.ctx, command); err != nil {
		c.t.Fatal(err)
	}
}

func (c *calm) ask(name string, data events.Payload) {
	c.t.Helper()
	subject := events.WorkloadCommand("default", name)
	c.say(events.Command{ID: fmt.Sprintf("%s-%s-%d", name, data.WireType(), time.Now().UnixNano()), Subject: subject, Actor: "user:ada", Reason: "first of all", Time: time.Now(), Data: data})
}

func (c *calm) tell(machine string, data events.Payload) {
	c.t.Helper()
	c.say(events.Command{ID: machine + data.WireType(), Subject: events.NodeCommand(machine), Actor: "user:op", Time: time.Now(), Data: data})
}

func TestWhyNamesEveryCauseWhenAllIsLongGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 8)
		defer end()
		within, cancel := context.WithTimeout(c.ctx, time.Hour) // by the clock of the simulation
		defer cancel()
		c.ctx = within
		all := incidents()
		c.await(func(view *projections.Cluster) bool { return view.NodeCount() == 8 })
		for room, machines := range rooms {
			for _, machine := range machines {
				c.tell(machine, node.LabelV1{Set: map[string]string{"room": room}})
			}
		}
		c.fates = map[string][]events.Payload{}
		for _, i := range all {
			if i.fate != nil {
				c.fates[i.name+"-0-1"] = i.fate
			}
			c.ask(i.name, workload.ApplyV1{Workload: projectionstest.Document(i.name, 1, func(w *spec.Workload) {
				in(i.room)(w)
				w.Spec.RestartPolicy = spec.RestartNever
				if i.alter != nil {
					i.alter(w)
				}
			})})
		}
		for _, i := range all {
			if i.happens == nil {
				continue
			}
			c.await(func(view *projections.Cluster) bool {
				first, ok := view.Instance(projectionstest.Key(i.name, 0, 1))
				return ok && first.Phase == spec.PhaseReady
			})
			i.happens(c)
		}
		for _, i := range all {
			c.await(func(view *projections.Cluster) bool { return i.done(view, i.name) })
		}
		// All of it goes, and then every service.
		for _, i := range all {
			c.ask(i.name, workload.DeleteV1{})
		}
		c.ask("urgent", workload.DeleteV1{})
		for _, machine := range rooms["two"] {
			c.tell(machine, node.LeaveV1{}) // one of them is lost: nobody else will say what is left on it
		}
		c.await(func(view *projections.Cluster) bool {
			left := 0
			for w := range view.Workloads() {
				left += truth(!w.Deleted)
			}
			return left == 0
		})
		end()
		time.Sleep(time.Hour)

		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		view := follow.New(c.log)
		gateway := app.New(app.Config{Commands: c.commands, Log: c.log, View: view})
		running.Go(func() { _ = view.Run(ctx) })
		running.Go(func() { _ = gateway.Run(ctx) })
		if err := view.WaitLive(ctx); err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			why, err := gateway.Now().Why(ctx, app.Thing{Kind: events.AggregateInstance, Namespace: "default", Name: i.instance})
			if err != nil {
				t.Errorf("%s: %v", i.name, err)
				continue
			}
			text := why.Answer + "\n" + flat(why.Because)
			for _, want := range i.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s: the why of %s does not say %q:\n%s", i.name, i.instance, want, text)
				}
			}
		}
	})
}

func truth(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// flat is a tree of causes as lines.
func flat(causes []api.Cause) string {
	var text strings.Builder
	for _, c := range causes {
		text.WriteString(c.Line + " by " + c.Actor)
		if c.Reason != "" {
			text.WriteString(", because \"" + c.Reason + "\"")
		}
		text.WriteString("\n" + flat(c.Because))
	}
	return text.String()
}
