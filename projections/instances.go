package projections

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/tidwall/btree"
)

const (
	// keptAttempts is how many retired instances of a slot stay in the state; the log keeps all.
	keptAttempts = 3
	// steadyAfter is how long an instance must have been ready for its slot's failures to be forgiven.
	steadyAfter = time.Minute
)

// PortName is how the state names a host port: protocol/port, such as tcp/80.
func PortName(protocol spec.Protocol, port int) string {
	return string(protocol) + "/" + strconv.Itoa(port)
}

func (c *Cluster) instanceRequested(e events.Event, data instance.RequestedV1) {
	key := e.Subject.Instance()
	i := &Instance{
		Key: key, Slot: data.Slot, Attempt: data.Attempt, Revision: data.Revision, Spec: data.Spec, Cause: data.Cause,
		Replaces: data.Replaces, Requested: markOf(e), Head: e.Sequence,
		Containers: make([]Container, len(data.Spec.Containers)),
	}
	for n, container := range data.Spec.Containers {
		i.Containers[n].Name = container.Name
	}
	old, _ := c.Instance(key)
	c.setInstance(e, instanceKey(key), old, i)

	slot := Slot{Namespace: key.Namespace, Workload: key.Workload, Number: data.Slot}
	if old, ok := c.Slot(key.Namespace, key.Workload, data.Slot); ok {
		slot = *old
	}
	slot.Attempt, slot.Instance = max(slot.Attempt, data.Attempt), key.Name
	if data.Cause != instance.CauseFailed {
		slot.Failures, slot.FailedAt = 0, time.Time{}
	}
	if data.Revision != slot.Revision {
		slot.Revision, slot.Failed = data.Revision, 0
	}
	c.slots.Set(slotKey(key.Namespace, key.Workload, data.Slot), &slot)

	c.forget(key.Namespace, key.Workload, data.Slot, data.Attempt-keptAttempts-1)
}

// forget drops a retired instance that is too old to be shown; the log keeps it for ever.
func (c *Cluster) forget(namespace, workload string, slot, attempt int) {
	k := events.InstanceKey{Namespace: namespace, Workload: workload, Name: events.InstanceName(workload, slot, attempt)}
	if old, ok := c.Instance(k); ok && old.Retired {
		c.dropInstance(k)
	}
}

func (c *Cluster) dropInstance(k events.InstanceKey) {
	key := instanceKey(k)
	old, ok := c.instances.Delete(key)
	if !ok {
		return
	}
	c.waiting.Delete(key)
	c.unsettled.Delete(key)
	c.apart.Delete(key)
	c.markSurplus(old.Node, k)
}

func (c *Cluster) instanceRetired(e events.Event, data instance.RetiredV1) {
	retired, ok := c.changeInstance(e, func(i *Instance) {
		i.Head, i.Retired = e.Sequence, true
		i.Phase, i.Reason, i.Since = data.Phase, data.Message, e.Time
	})
	if !ok {
		return
	}
	k := retired.Key
	if retired.Placed() && retired.Revoked {
		c.release(retired.Node, k) // of a node that left: nobody else will say that it is gone
	}
	// One that outlived its successors, or its workload, is forgotten now.
	slot, _ := c.Slot(k.Namespace, k.Workload, retired.Slot)
	w, known := c.Workload(k.Namespace, k.Workload)
	if (known && w.Deleted) || (slot != nil && retired.Attempt < slot.Attempt-keptAttempts) {
		c.dropInstance(k)
	}
}

func (c *Cluster) assigned(e events.Event, data ledger.AssignedV2) {
	name := e.Subject.Node()
	entry := &Entry{
		Node: name, Instance: data.Instance, Generation: data.Generation, Requests: data.Spec.Requests(),
		Priority: data.Spec.Priority, Assigned: markOf(e),
	}
	for _, p := range data.Spec.HostPorts() {
		entry.HostPorts = append(entry.HostPorts, PortName(p.Protocol, p.HostPort))
	}
	slices.Sort(entry.HostPorts)
	c.release(name, data.Instance)
	c.entries.Set(entryKey(name, data.Instance), entry)
	c.countPriority(entry.Priority, 1)
	n, _ := c.changeNode(name, func(n *Node) {
		entry.Devices = n.devicesOf(data)
		n.holdDevices(entry.Devices, 1)
		n.LedgerHead, n.Generation = e.Sequence, max(n.Generation, data.Generation)
		n.Allocated, n.Instances = n.Allocated.Add(entry.Requests), n.Instances+1
		n.HostPorts = slices.Concat(n.HostPorts, entry.HostPorts)
		slices.Sort(n.HostPorts)
	})
	c.changeInstanceAt(e, data.Instance, func(i *Instance) {
		if i.Placed() && i.Node != name {
			return // two schedulers chose at once: the first one counts, and this entry is surplus
		}
		i.Node, i.Generation, i.Assigned, i.Revoked = name, data.Generation, markOf(e), false
		i.Unplaceable, i.ReportHead = nil, 0
		i.NodeLost, i.Lost = n.out(), n.LostBy // the node may have been lost while the scheduler chose it
	})
	c.markSurplus(name, data.Instance)
}

func (c *Cluster) revoked(e events.Event, data ledger.RevokedV2) {
	name := e.Subject.Node()
	n, _ := c.changeNode(name, func(n *Node) { n.LedgerHead = e.Sequence })
	change(&c.entries, entryKey(name, data.Instance), func(entry *Entry) {
		if !entry.Revoked && entry.Generation == data.Generation {
			entry.Revoked = true
			c.revokedNow++
		}
	})
	i, known := c.changeInstanceAt(e, data.Instance, func(i *Instance) {
		if i.Node == name && i.Generation == data.Generation {
			i.Revoked = true
			if i.Wished() && i.End == nil && data.Cause == instance.CausePreempted {
				i.Evicted = &Eviction{Cause: data.Cause, Message: data.Message, By: data.By, Mark: markOf(e)}
			}
		}
	})
	if n.Health == Left && (!known || i.Retired || i.Node != name) {
		c.release(name, data.Instance) // nobody is left who would say that it is gone
	}
	c.markSurplus(name, data.Instance)
}

// countPriority keeps how many entries there are of each priority.
func (c *Cluster) countPriority(p spec.Priority, more int) {
	n, _ := c.priorities.Get(p)
	if n += more; n > 0 {
		c.priorities.Set(p, n)
	} else {
		c.priorities.Delete(p)
	}
}

// release gives back what an instance holds on a node.
func (c *Cluster) release(node string, k events.InstanceKey) {
	entry, ok := c.entries.Delete(entryKey(node, k))
	if !ok {
		return
	}
	c.surplus.Delete(entryKey(node, k))
	c.countPriority(entry.Priority, -1)
	if entry.Revoked {
		c.revokedNow--
	}
	c.changeNode(node, func(n *Node) {
		n.Allocated, n.Instances = n.Allocated.Sub(entry.Requests), n.Instances-1
		n.holdDevices(entry.Devices, -1)
		n.HostPorts = slices.Clone(n.HostPorts)
		for _, p := range entry.HostPorts {
			if at, found := slices.BinarySearch(n.HostPorts, p); found {
				n.HostPorts = slices.Delete(n.HostPorts, at, at+1)
			}
		}
	})
}

func (c *Cluster) applyReport(e events.Event) {
	key, nodeName := e.Subject.Instance(), e.Subject.Node()
	switch e.Data.(type) {
	case report.StoppedV1, report.RejectedV1:
		c.release(nodeName, key)
	}
	i, ok := c.Instance(key)
	if !ok || i.Node != nodeName {
		return // of an instance long forgotten
	}
	endedBefore := i.End != nil
	after, _ := c.changeInstance(e, func(i *Instance) {
		i.ReportHead, i.LastReport = e.Sequence, markOf(e)
		i.Containers = slices.Clone(i.Containers)
		observe(i, e)
	})
	if after.End != nil && !endedBefore && after.End.ByItself() && after.Wished() {
		steady := !after.ReadyAt.IsZero() && loggedAt(e).Sub(after.ReadyAt) >= steadyAfter
		change(&c.slots, slotKey(key.Namespace, key.Workload, after.Slot), func(s *Slot) {
			if steady {
				s.Failures = 0
			}
			s.Failures, s.FailedAt = s.Failures+1, loggedAt(e)
			if after.End.Failed() && after.Revision == s.Revision {
				s.Failed++
			}
		})
	}
}

// loggedAt is when the log stored the event: agents' clocks may be wrong, and reconcilers reckon backoffs by their own.
func loggedAt(e events.Event) time.Time {
	if e.Recorded.IsZero() {
		return e.Time
	}
	return e.Recorded
}

// observe notes on the instance what its agent reports.
func observe(i *Instance, e events.Event) {
	switch data := e.Data.(type) {
	case report.PullingV1:
		i.Pulling, i.Delayed = true, nil
	case report.CreatedV1:
		i.Created, i.Pulling, i.Delayed, i.Addresses = true, false, nil, data.Addresses
	case report.StartedV1:
		i.Created, i.Pulling, i.Delayed = true, false, nil
		if len(data.Addresses) > 0 {
			i.Addresses = data.Addresses
		}
		withContainer(i, data.Container, data.Run, func(c *Container) {
			c.Run, c.ID, c.PID, c.StartedAt = data.Run, data.ContainerID, data.PID, data.At
			// Without a probe that says so a container is ready as soon as it runs.
			c.Running, c.Healthy, c.Message, c.NotBefore = true, !probed(i, data.Container), "", time.Time{}
		})
	case report.HealthyV1:
		withContainer(i, data.Container, data.Run, func(c *Container) { c.Healthy, c.Message = true, "" })
	case report.UnhealthyV1:
		withContainer(i, data.Container, data.Run, func(c *Container) { c.Healthy, c.Message = false, data.Message })
	case report.ExitedV1:
		withContainer(i, data.Container, data.Run, func(c *Container) {
			c.Run, c.Running, c.Healthy, c.PID, c.Exit = data.Run, false, false, 0, &data
		})
	case report.RestartingV1:
		withContainer(i, data.Container, data.Run, func(c *Container) { c.NotBefore, c.Failures = data.NotBefore, data.Failures })
	case report.DelayedV1:
		i.Delayed = &data
	case report.StoppedV1:
		i.End = &Ending{Outcome: data.Outcome, Message: data.Message, Mark: markOf(e)}
	case report.RejectedV1:
		i.End = &Ending{Rejected: cmp.Or(data.Reason, "Rejected"), Message: data.Message, Mark: markOf(e)}
	}
	if i.End != nil {
		for n := range i.Containers {
			i.Containers[n].Running, i.Containers[n].Healthy, i.Containers[n].PID = false, false, 0
		}
	}
}

// withContainer alters a container unless what is reported is of a run before the newest: runs only climb.
func withContainer(i *Instance, name string, run int, alter func(*Container)) {
	for n := range i.Containers {
		if c := &i.Containers[n]; c.Name == name && run >= c.Run {
			alter(c)
		}
	}
}

func (c *Cluster) changeInstance(e events.Event, alter func(*Instance)) (*Instance, bool) {
	return c.changeInstanceAt(e, e.Subject.Instance(), alter)
}

func (c *Cluster) changeInstanceAt(e events.Event, k events.InstanceKey, alter func(*Instance)) (*Instance, bool) {
	key := instanceKey(k)
	old, ok := c.instances.Get(key)
	if !ok {
		return nil, false
	}
	i := *old
	alter(&i)
	c.setInstance(e, key, old, &i)
	return &i, true
}

// setInstance stores an instance in the place of the old one, which may be nil, with its phase, and keeps the indexes. Most events change nothing
// that an index goes by.
func (c *Cluster) setInstance(e events.Event, key string, old, i *Instance) {
	if !i.Retired {
		phase, reason := phaseOf(i)
		if phase == spec.PhaseReady && i.Phase != spec.PhaseReady {
			i.ReadyAt = loggedAt(e)
		}
		if phase != i.Phase {
			i.Since = e.Time
		}
		i.Phase, i.Reason = phase, reason
	}
	c.instances.Set(key, i)
	if old == nil {
		mark(&c.waiting, key, waits(i))
		mark(&c.unsettled, key, !settled(i))
		mark(&c.apart, key, keepsApart(i))
	} else {
		remark(&c.waiting, key, waits(old), waits(i))
		remark(&c.unsettled, key, !settled(old), !settled(i))
		remark(&c.apart, key, keepsApart(old), keepsApart(i))
		if old.Wished() == i.Wished() && old.Node == i.Node && old.Generation == i.Generation {
			return
		}
		if old.Placed() && old.Node != i.Node {
			c.markSurplus(old.Node, i.Key)
		}
	}
	if i.Placed() {
		c.markSurplus(i.Node, i.Key)
	}
}

// waits reports whether an instance is wished for and has no node.
func waits(i *Instance) bool { return i.Wished() && !i.Placed() }

// settled reports whether no planner has anything to do about the instance as long as nothing happens to it.
func settled(i *Instance) bool {
	return i.Retired || (i.Wished() && i.Placed() && i.End == nil && !i.NodeLost && i.Evicted == nil)
}

// keepsApart reports whether an instance demands that certain others are not near it.
func keepsApart(i *Instance) bool {
	a := i.Spec.Affinity
	return a != nil && a.InstanceAnti != nil && len(a.InstanceAnti.Required) > 0 && i.Placed() && i.End == nil && !i.Retired
}

// markSurplus keeps the index of what the scheduler has to take back on a node.
func (c *Cluster) markSurplus(node string, k events.InstanceKey) {
	key := entryKey(node, k)
	entry, ok := c.entries.Get(key)
	mark(&c.surplus, key, ok && c.isSurplus(entry))
}

// isSurplus reports whether an entry is neither revoked nor wished for where it is.
func (c *Cluster) isSurplus(entry *Entry) bool {
	if entry.Revoked {
		return false
	}
	i, ok := c.Instance(entry.Instance)
	return !ok || !i.Wished() || i.Node != entry.Node || i.Generation != entry.Generation
}

func mark(index *btree.Map[string, struct{}], key string, in bool) {
	if in {
		index.Set(key, struct{}{})
	} else {
		index.Delete(key)
	}
}

// remark changes an index where it has to.
func remark(index *btree.Map[string, struct{}], key string, was, is bool) {
	if was != is {
		mark(index, key, is)
	}
}

// probed reports whether a container of the instance is ready only when a probe says so.
func probed(i *Instance, container string) bool {
	for _, c := range i.Spec.Containers {
		if c.Name == container {
			return c.Probed()
		}
	}
	return false
}
