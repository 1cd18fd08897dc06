package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

// describedEvents is how many of a thing's newest events its description ends with.
const describedEvents = 10

func newDescribeCommand(c *cli) *cobra.Command {
	command := &cobra.Command{
		Use:     "describe KIND/NAME",
		Short:   "Tell all about a workload, an instance or a node, with its newest events",
		Example: "  rutter describe workload/web\n  rutter describe instance web-0-1\n  rutter describe node n1",
		Args:    args(1, 2, "one thing, such as workload/web"),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := c.oneThing(args)
			if err != nil {
				return err
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			return c.describe(cmd.Context(), gateway, target)
		},
	}
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	return command
}

func (c *cli) describe(ctx context.Context, gateway *client.Client, target client.Thing) error {
	var err error
	switch target.Kind {
	case workloads.name:
		err = c.describeWorkload(ctx, gateway, target)
	case instances.name:
		err = c.describeInstance(ctx, gateway, target)
	default:
		err = c.describeNode(ctx, gateway, target)
	}
	if err != nil {
		return err
	}
	var newest []events.Event
	err = gateway.History(ctx, target, func(e events.Event) error {
		if newest = append(newest, e); len(newest) > describedEvents {
			newest = newest[1:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\nNewest events (`rutter history %s/%s%s` has all):\n", target.Kind, target.Name, inNamespace(target.Namespace))
	print := c.eventPrinter(formatTable)
	for _, e := range newest {
		if err := print(e); err != nil {
			return err
		}
	}
	return nil
}

// facts prints names and values in two columns.
func (c *cli) facts(indent string, facts ...[2]string) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, fact := range facts {
		if fact[1] != "" {
			fmt.Fprintf(w, "%s%s:\t%s\n", indent, fact[0], fact[1])
		}
	}
	w.Flush()
}

func (c *cli) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", at.UTC().Format(time.DateTime), c.age(at))
}

func (c *cli) describeWorkload(ctx context.Context, gateway *client.Client, target client.Thing) error {
	w, err := gateway.Workload(ctx, target.Namespace, target.Name, 0)
	if err != nil {
		return err
	}
	list, err := gateway.Instances(ctx, client.Selection{Namespace: target.Namespace, Workload: target.Name})
	if err != nil {
		return err
	}
	s := w.Status
	c.facts("",
		[2]string{"Name", w.Metadata.Name}, [2]string{"Namespace", w.Metadata.Namespace}, [2]string{"Labels", labelText(w.Metadata.Labels)},
		[2]string{"State", string(s.State)}, [2]string{"Message", s.Message},
		[2]string{"Instances", fmt.Sprintf("%d wished, %d there, %d at the newest revision, %d ready", s.Wished, s.Instances, s.Updated, s.Ready)},
		[2]string{"Revision", fmt.Sprint(s.Revision)}, [2]string{"Created", c.when(s.Created)},
		[2]string{"Changed", c.when(s.Changed.Time) + " by " + none(s.Changed.Actor)},
		[2]string{"Restart policy", string(w.Spec.RestartPolicy)}, [2]string{"Grace period", w.Spec.GracePeriod.String()},
		[2]string{"On partition", string(w.Spec.OnPartition)}, [2]string{"Node selector", labelText(w.Spec.NodeSelector)},
	)
	for _, container := range w.Spec.Containers {
		fmt.Fprintf(c.out, "\nContainer %s:\n", container.Name)
		c.facts("  ", containerFacts(container)...)
	}
	if len(list.Items) > 0 {
		fmt.Fprintln(c.out, "\nInstances:")
		rows, _ := listed(list, nil)(c.instanceRow)
		c.printTable(tableOf(instances), rows, false, false)
	}
	return nil
}

func containerFacts(container spec.Container) [][2]string {
	var env, ports []string
	for _, e := range container.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	for _, p := range container.Ports {
		text := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
		if p.HostPort > 0 {
			text += fmt.Sprintf(" (node's %d)", p.HostPort)
		}
		ports = append(ports, text)
	}
	return [][2]string{
		{"Image", container.Image.String()}, {"Command", quoted(container.Command)}, {"Args", quoted(container.Args)},
		{"Env", strings.Join(env, ", ")}, {"Working directory", container.WorkingDir}, {"Ports", strings.Join(ports, ", ")},
		{"Requests", amounts(container.Resources.Requests)}, {"Limits", amounts(container.Resources.Limits)}, {"User", container.SecurityContext.User},
	}
}

func quoted(words []string) string {
	var out []string
	for _, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n\"'$\\") {
			word = fmt.Sprintf("%q", word)
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func amounts(r spec.Resources) string {
	var parts []string
	add := func(name, amount string, has bool) {
		if has {
			parts = append(parts, name+" "+amount)
		}
	}
	add("cpu", r.CPU.String(), r.CPU > 0)
	add("memory", r.Memory.String(), r.Memory > 0)
	add("disk", r.Disk.String(), r.Disk > 0)
	add("gpu", r.GPU.String(), r.GPU > 0)
	for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
		add(name, fmt.Sprint(r.Custom[name]), true)
	}
	return strings.Join(parts, ", ")
}

func (c *cli) describeInstance(ctx context.Context, gateway *client.Client, target client.Thing) error {
	i, err := gateway.Instance(ctx, target.Namespace, target.Name, 0)
	if err != nil {
		return err
	}
	stop := ""
	if i.Stop != nil {
		stop = strings.TrimSpace(i.Stop.Cause + " " + i.Stop.Message)
	}
	c.facts("",
		[2]string{"Name", i.Name}, [2]string{"Namespace", i.Namespace}, [2]string{"Workload", i.Workload}, [2]string{"Labels", labelText(i.Labels)},
		[2]string{"Phase", string(i.Phase)}, [2]string{"Reason", i.Reason}, [2]string{"Since", c.when(i.Since)},
		[2]string{"Node", none(i.Node)}, [2]string{"Addresses", strings.Join(i.Addresses, ", ")},
		[2]string{"Place", fmt.Sprintf("slot %d, attempt %d, revision %d", i.Slot, i.Attempt, i.Revision)},
		[2]string{"Requested", c.when(i.Requested.Time) + ", cause " + i.Cause}, [2]string{"Replaces", i.Replaces}, [2]string{"Stopping", stop},
	)
	for n, container := range i.Containers {
		fmt.Fprintf(c.out, "\nContainer %s:\n", container.Name)
		var wished [][2]string
		if n < len(i.Spec.Containers) {
			wished = containerFacts(i.Spec.Containers[n])
		}
		c.facts("  ", append([][2]string{
			{"State", containerState(container)}, {"Run", fmt.Sprint(container.Run)}, {"Started", c.when(container.StartedAt)},
			{"Last exit", c.exitText(container.LastExit)}, {"Next run", c.next(container.NotBefore)},
		}, wished...)...)
	}
	return nil
}

func containerState(container api.Container) string {
	state := container.State
	if container.State == "running" && !container.Ready {
		state += ", not ready"
	}
	if container.Message != "" {
		state += ": " + container.Message
	}
	return state
}

func (c *cli) exitText(exit *api.Exit) string {
	if exit == nil {
		return ""
	}
	how := fmt.Sprintf("code %d", exit.Code)
	switch {
	case exit.OOM:
		how = "killed, out of memory"
	case exit.Reason != "":
		how = "ended, " + exit.Message
	case exit.Signal != 0:
		how = fmt.Sprintf("signal %d", exit.Signal)
	}
	return fmt.Sprintf("%s, run %d, after %s, %s", how, exit.Run, time.Duration(exit.Ran).Round(time.Millisecond), c.when(exit.At))
}

func (c *cli) next(at time.Time) string {
	if !at.After(c.now()) {
		return ""
	}
	return "in " + at.Sub(c.now()).Round(time.Second).String()
}

func (c *cli) describeNode(ctx context.Context, gateway *client.Client, target client.Thing) error {
	n, err := gateway.Node(ctx, target.Name, 0)
	if err != nil {
		return err
	}
	list, err := gateway.Instances(ctx, client.Selection{Node: target.Name})
	if err != nil {
		return err
	}
	c.facts("",
		[2]string{"Name", n.Name}, [2]string{"Labels", labelText(n.Labels)}, [2]string{"Taints", taintText(n.Taints)}, [2]string{"State", nodeState(n)}, [2]string{"Message", n.Message},
		[2]string{"Since", c.when(n.Since)}, [2]string{"Joined", c.when(n.Joined)}, [2]string{"Address", n.Address},
		[2]string{"Version", n.Version}, [2]string{"Runtime", n.Runtime}, [2]string{"Capacity", amounts(n.Capacity)},
		[2]string{"Allocated", amounts(n.Allocated)}, [2]string{"Host ports", strings.Join(n.HostPorts, ", ")},
	)
	if len(list.Items) > 0 {
		fmt.Fprintln(c.out, "\nInstances:")
		rows, _ := listed(list, nil)(c.instanceRow)
		c.printTable(tableOf(instances), rows, false, true)
	}
	return nil
}
