package spec

// InstanceSpec is all that a node needs to run one instance of a workload. Images are pinned by digest.
type InstanceSpec struct {
	Containers    []Container       `json:"containers"`
	RestartPolicy RestartPolicy     `json:"restartPolicy"`
	GracePeriod   Duration          `json:"gracePeriod,omitzero"`
	OnPartition   OnPartition       `json:"onPartition,omitempty"`
	NodeSelector  map[string]string `json:"nodeSelector,omitempty"`
	Priority      Priority          `json:"priority,omitempty"`

	Affinity       *Affinity        `json:"affinity,omitempty"`
	Tolerations    []Toleration     `json:"tolerations,omitempty"`
	TopologySpread []TopologySpread `json:"topologySpread,omitempty"`
	Policy         string           `json:"policy,omitempty"` // the profile of the scheduler that chooses its node

	Labels map[string]string `json:"labels,omitempty"` // the workload's
}

// Instance is what each instance of the workload is to run.
func (w Workload) Instance() InstanceSpec {
	return InstanceSpec{
		Containers: w.Spec.Containers, RestartPolicy: w.Spec.RestartPolicy, GracePeriod: w.Spec.GracePeriod,
		OnPartition: w.Spec.OnPartition, NodeSelector: w.Spec.NodeSelector, Priority: w.Spec.Priority, Labels: w.Metadata.Labels,
		Affinity: w.Spec.Affinity, Tolerations: w.Spec.Tolerations, TopologySpread: w.Spec.TopologySpread, Policy: w.Spec.Policy,
	}
}

// Requests is what the instance reserves on its node: the sum over its containers.
func (s InstanceSpec) Requests() Resources { return WorkloadSpec{Containers: s.Containers}.Requests() }

// HostPorts lists the ports that the instance takes on its node.
func (s InstanceSpec) HostPorts() []Port { return WorkloadSpec{Containers: s.Containers}.HostPorts() }

// Phase is where an instance stands, derived from its events.
type Phase string

// The phases. Succeeded and Failed are final; Lost becomes final when the instance is retired.
const (
	PhasePending          Phase = "Pending"          // waits for a node
	PhasePlaced           Phase = "Placed"           // has a node that has not begun
	PhasePulling          Phase = "Pulling"          // its images are being pulled
	PhaseStarting         Phase = "Starting"         // its containers are being made and started
	PhaseRunning          Phase = "Running"          // all containers run, not all are ready
	PhaseReady            Phase = "Ready"            // all containers run and are ready
	PhaseUnhealthy        Phase = "Unhealthy"        // a probe fails
	PhaseCrashLoopBackOff Phase = "CrashLoopBackOff" // a container ended and waits for its next run
	PhaseTerminating      Phase = "Terminating"      // is to stop
	PhaseSucceeded        Phase = "Succeeded"
	PhaseFailed           Phase = "Failed"
	PhaseLost             Phase = "Lost" // its node is lost
)

// Final reports whether an instance in this phase never runs again.
func (p Phase) Final() bool { return p == PhaseSucceeded || p == PhaseFailed }
