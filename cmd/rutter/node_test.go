package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

func TestNodesAreCordonedTaintedAndLabelled(t *testing.T) {
	m := scene(t)
	for _, c := range []struct {
		line string
		out  string
		err  string
	}{
		{"cordon n1", "node/n1 cordoned\n", ""},
		{"cordon node/n1", "node/n1 unchanged\n", ""},
		{"uncordon node n1", "node/n1 uncordoned\n", ""},
		{"cordon n1 n2", "node/n1 cordoned\nnode/n2 cordoned\n", ""},
		{"cordon n1 n2 --idempotency-key k", "", "cordon nodes one by one"},
		{"cordon n9", "", "there is no node n9"},
		{"taint n2 dedicated=gpu:NoSchedule", "node/n2 tainted\n", ""},
		{"taint node n2 dedicated=gpu", "", "want key=value:effect"},
		{"taint n2", "", "the node's name and taints"},
		{"label node/n2 disk=ssd", "node/n2 labelled\n", ""},
		{"label n2 disk", "", "want key=value, or key-"},
		{"drain n1 n2", "", "one node at a time"},
		{"drain n1 --within -1s", "", "a time to come"},
		{"drain n1 --wait=false", "node/n1 draining\n", ""},
		{"stop instance/web-0-1", "instance/web-0-1 stopping\n", ""},
		{"stop web-0-1", "instance/web-0-1 unchanged: it is stopping already\n", ""},
		{"stop web-0-9", "", "there is no instance default/web-0-9"},
		{"stop workload/web", "", "no kind \"workload\""},
		{"delete node/n2", "", "node/n2: node-health rejected it: node n2 is not lost: drain it first, or remove it by force"},
		{"delete workload/web --force", "", "--force is for nodes"},
		{"delete node/n9 --ignore-not-found", "node/n9 is not there\n", ""},
	} {
		got := m.run(strings.Fields(c.line)...)
		require.Equal(t, c.out, got.out, c.line)
		require.Contains(t, got.err, c.err, c.line)
	}
	got := m.run("get", "nodes", "-o", "wide")
	require.Contains(t, got.out, "Ready,Draining")
	require.Contains(t, got.out, "Ready,Cordoned")
	require.Contains(t, got.out, "dedicated=gpu:NoSchedule")
	require.Contains(t, got.out, "disk=ssd")
	got = m.run("taint", "n2", "dedicated:NoSchedule-")
	require.Equal(t, "node/n2 tainted\n", got.out)
	require.NotContains(t, m.run("get", "nodes", "-o", "wide").out, "dedicated")
	require.Contains(t, m.run("history", "node/n1").out, "draining")
	require.Equal(t, "node/n2 removed\n", m.run("delete", "node/n2", "--force", "--reason", "burnt").out)
	require.Contains(t, m.run("history", "node/n2").out, "left: burnt")
}

func TestDrainWaitsUntilTheNodeIsEmpty(t *testing.T) {
	m := scene(t)
	go func() {
		for {
			changed := m.View.Changed()
			if n, _ := m.View.View().Node("n1"); n.Drain != nil {
				break
			}
			<-changed
		}
		m.Say(events.NodeSubject("n1"), "", "", node.DrainedV1{})
	}()
	got := m.run("drain", "n1")
	require.Equal(t, "node/n1 draining\nnode/n1 drained\n", got.out, got.err)
	require.Zero(t, got.code)
}

func TestDrainSaysWhatIsLeftWhenItsTimeIsOver(t *testing.T) {
	m := scene(t)
	got := m.run("drain", "n1", "--timeout", "10ms")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.err, "node n1 is not empty after 10ms")
	require.Contains(t, got.err, "it goes on draining")
}
