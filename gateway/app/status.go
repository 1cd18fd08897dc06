package app

import (
	"fmt"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// statusOf says how far the cluster is with a workload. It is pure.
func statusOf(view *projections.Cluster, w *projections.Workload) api.WorkloadStatus {
	s := api.WorkloadStatus{
		Revision: w.Revision, Wished: w.Replicas(), Created: w.Created, Changed: markOf(w.Changed), Phases: map[spec.Phase]int{},
		Rollout: rolloutOf(w),
	}
	stopping, trouble, waiting := 0, "", ""
	for i := range view.InstancesOf(w.Namespace, w.Name) {
		if i.Retired {
			continue
		}
		s.Instances++
		s.Phases[i.Phase]++
		switch {
		case !i.Wished():
			stopping++
		case i.Revision == w.Revision && i.Phase == spec.PhaseSucceeded:
			s.Succeeded++
		case i.Revision == w.Revision:
			s.Updated++
			if i.Phase == spec.PhaseReady {
				s.Ready++
			} else if about := i.Key.Name + " is " + string(i.Phase) + ": " + i.Reason; inTrouble(i) {
				trouble = firstOf(trouble, about)
			} else {
				waiting = firstOf(waiting, about)
			}
		default:
			waiting = firstOf(waiting, fmt.Sprintf("%s still runs revision %d", i.Key.Name, i.Revision))
		}
	}
	if w.Document.Spec.Type == spec.Job && !w.Deleting {
		jobStatus(&s, w, trouble)
		return s
	}
	switch {
	case w.Deleting:
		s.State, s.Message = api.WorkloadDeleting, count(s.Instances, "instance is still there", "instances are still there")
	case s.Ready == s.Wished && s.Instances == s.Wished:
		s.State = api.WorkloadReady
	case w.InRollout() != nil && w.InRollout().Waits:
		s.State, s.Message = api.WorkloadProgressing, fmt.Sprintf("the canary of revision %d waits to be promoted or aborted", w.Revision)
	case w.InRollout() != nil && w.InRollout().Paused:
		s.State, s.Message = api.WorkloadDegraded, fmt.Sprintf("the roll-out of revision %d is paused: %s", w.Revision, w.InRollout().Message)
	case trouble != "":
		s.State, s.Message = api.WorkloadDegraded, trouble
	default:
		s.State, s.Message = api.WorkloadProgressing, waiting
		if waiting == "" && stopping > 0 {
			s.Message = count(stopping, "instance is stopping", "instances are stopping")
		} else if waiting == "" {
			s.Message = count(s.Wished-s.Instances, "instance is not there yet", "instances are not there yet")
		}
	}
	return s
}

// jobStatus says how far a job is.
func jobStatus(s *api.WorkloadStatus, w *projections.Workload, trouble string) {
	s.Message = fmt.Sprintf("%d of %d succeeded, %d run", s.Succeeded, s.Wished, s.Ready)
	switch {
	case w.Finished != nil && w.Finished.Succeeded:
		s.State, s.Message = api.WorkloadCompleted, w.Finished.Message
	case w.Finished != nil:
		s.State, s.Message = api.WorkloadFailed, w.Finished.Message
	case trouble != "":
		s.State, s.Message = api.WorkloadDegraded, s.Message+"; "+trouble
	default:
		s.State = api.WorkloadProgressing
	}
}

// inTrouble reports whether an instance will not become ready by mere waiting for its own start.
func inTrouble(i *projections.Instance) bool {
	switch i.Phase {
	case spec.PhaseFailed, spec.PhaseCrashLoopBackOff, spec.PhaseUnhealthy, spec.PhaseLost:
		return true
	}
	return i.Unplaceable != nil || i.Delayed != nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func firstOf(first, other string) string {
	if first != "" {
		return first
	}
	return other
}

func markOf(m projections.Mark) api.Mark {
	return api.Mark{ID: m.ID, Actor: m.Actor, Time: m.Time, Sequence: m.Sequence}
}

func workloadOf(view *projections.Cluster, w *projections.Workload) api.Workload {
	return api.Workload{
		APIVersion: w.Document.APIVersion, Kind: w.Document.Kind, Metadata: w.Document.Metadata, Spec: w.Document.Spec,
		Status: statusOf(view, w),
	}
}

func instanceOf(i *projections.Instance) api.Instance {
	out := api.Instance{
		Namespace: i.Key.Namespace, Name: i.Key.Name, Workload: i.Key.Workload, Slot: i.Slot, Attempt: i.Attempt, Revision: i.Revision,
		Phase: i.Phase, Reason: i.Reason, Since: i.Since, Wished: i.Wished(), Retired: i.Retired, Node: i.Node, Addresses: i.Addresses,
		Ready: i.ReadyContainers(), Restarts: i.Restarts(), Labels: i.Spec.Labels, Cause: string(i.Cause), Replaces: i.Replaces,
		Requested: markOf(i.Requested), ReadyAt: i.ReadyAt, Generation: i.Generation, Spec: i.Spec,
	}
	if i.Stop != nil {
		out.Stop = &api.Stop{Cause: string(i.Stop.Cause), Message: i.Stop.Message, Grace: i.Stop.Grace, Mark: markOf(i.Stop.Mark)}
	}
	for n, c := range i.Containers {
		container := api.Container{
			Name: c.Name, Run: c.Run, State: "waiting", Ready: c.Running && c.Healthy, Message: c.Message, PID: c.PID,
			StartedAt: c.StartedAt, NotBefore: c.NotBefore,
		}
		if n < len(i.Spec.Containers) {
			container.Image = i.Spec.Containers[n].Image.String()
		}
		switch {
		case c.Running:
			container.State = "running"
		case c.Exit != nil:
			container.State = "ended"
		}
		if x := c.Exit; x != nil {
			container.LastExit = &api.Exit{Run: x.Run, Code: x.Code, Signal: x.Signal, OOM: x.OOM, At: x.At, Ran: x.Ran, Reason: x.Reason, Message: x.Message}
		}
		out.Containers = append(out.Containers, container)
	}
	return out
}

func nodeOf(n *projections.Node) api.Node {
	out := api.Node{
		Name: n.Name, State: n.State(), Message: n.Message, Since: n.Since, Joined: n.Joined, Labels: n.Labels, Capacity: n.Capacity,
		Allocated: n.Allocated, Instances: n.Instances, HostPorts: n.HostPorts, Address: n.Address, Version: n.Version,
		Runtime: n.Runtime, Incarnation: n.Incarnation, Cordoned: n.Cordoned, Taints: n.Taints,
	}
	if n.Drain != nil {
		out.Drain = &api.NodeDrain{Done: n.Drain.Done, Deadline: n.Drain.Deadline, Since: n.Drain.Mark.Time, Actor: n.Drain.Mark.Actor}
	}
	return out
}
