package spec

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// APIVersion and KindWorkload head every workload document.
const (
	APIVersion   = "rutter.run/v1"
	KindWorkload = "Workload"
)

// WorkloadType says how a workload's instances live.
type WorkloadType string

// The workload types.
const (
	Service WorkloadType = "service" // keeps the wished number of instances running
)

// RestartPolicy says when a container that ended is run again on its node.
type RestartPolicy string

// The restart policies.
const (
	RestartAlways    RestartPolicy = "always"
	RestartOnFailure RestartPolicy = "on-failure"
	RestartNever     RestartPolicy = "never" // the instance fails and the reconciler replaces it
)

// OnPartition says what a node cut off from the cluster does with an instance once its lease is over.
type OnPartition string

// The behaviours under partition.
const (
	PartitionKeep OnPartition = "keep" // goes on running; a replacement may run beside it elsewhere
	PartitionStop OnPartition = "stop" // stops, so that never two run at once
)

// MaxPartitionLease is the longest that an agent may be cut off before it stops instances with onPartition: stop. The reconciler counts on it: it
// asks for no second one before the first must have stopped.
const MaxPartitionLease = 30 * time.Second

// Workload is the document that a user applies.
type Workload struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Metadata   Metadata     `json:"metadata"`
	Spec       WorkloadSpec `json:"spec"`
}

// WorkloadSpec is the wished state of a workload.
type WorkloadSpec struct {
	Type          WorkloadType      `json:"type,omitempty"`     // service where empty
	Replicas      *int              `json:"replicas,omitempty"` // 1 where absent
	Containers    []Container       `json:"containers"`
	NodeSelector  map[string]string `json:"nodeSelector,omitempty"` // labels that a node must carry
	Priority      Priority          `json:"priority,omitempty"`     // who goes first where there is not room for all; normal where empty
	RestartPolicy RestartPolicy     `json:"restartPolicy,omitempty"`
	GracePeriod   Duration          `json:"gracePeriod,omitzero"` // from stop signal to kill
	OnPartition   OnPartition       `json:"onPartition,omitempty"`
	Job           *JobSpec          `json:"job,omitempty"`      // of a job only
	Strategy      *Strategy         `json:"strategy,omitempty"` // absent: rolling, one at a time, for as long as it takes

	Affinity       *Affinity        `json:"affinity,omitempty"`
	Tolerations    []Toleration     `json:"tolerations,omitempty"`
	TopologySpread []TopologySpread `json:"topologySpread,omitempty"`
	Policy         string           `json:"policy,omitempty"` // the profile of the scheduler that chooses nodes; the cluster's where empty
}

// Limits of a workload, so that a slip of the pen harms nobody.
const (
	MaxReplicas    = 100_000
	MaxContainers  = 16
	MaxGracePeriod = Duration(time.Hour)
)

// Default fills what the user may leave out; a second call changes nothing.
func (w *Workload) Default() {
	if w.Metadata.Namespace == "" {
		w.Metadata.Namespace = DefaultNamespace
	}
	s := &w.Spec
	if s.Type == "" {
		s.Type = Service
	}
	if s.Type == Job {
		if s.Job == nil {
			s.Job = &JobSpec{}
		}
		s.Job.Default()
		if s.RestartPolicy == "" {
			s.RestartPolicy = RestartNever
		}
	} else if s.Replicas == nil {
		one := 1
		s.Replicas = &one
	}
	if s.RestartPolicy == "" {
		s.RestartPolicy = RestartAlways
	}
	if s.GracePeriod == 0 {
		s.GracePeriod = DefaultGracePeriod
	}
	if s.OnPartition == "" {
		s.OnPartition = PartitionKeep
	}
	if s.Strategy != nil {
		s.Strategy.Default()
	}
	for i := range s.TopologySpread {
		s.TopologySpread[i].Default()
	}
	for i := range s.Containers {
		if c := &s.Containers[i]; c.Name == "" && len(s.Containers) == 1 {
			c.Name = "main"
		}
		s.Containers[i].Default()
	}
}

// Validate reports every fault of the document. Call Default first.
func (w Workload) Validate() error {
	var errs Errors
	if w.APIVersion != APIVersion {
		errs.add("apiVersion", w.APIVersion, "%s", APIVersion)
	}
	if w.Kind != KindWorkload {
		errs.add("kind", w.Kind, "%s", KindWorkload)
	}
	errs = append(errs, w.Metadata.Validate("metadata")...)
	errs = append(errs, w.Spec.Validate("spec")...)
	return errs.Err()
}

// Validate reports every fault of the wished state, with field as the path.
func (s WorkloadSpec) Validate(field string) (errs Errors) {
	if !slices.Contains(WorkloadTypes, s.Type) {
		errs.add(field+".type", string(s.Type), "service or job")
	}
	errs = append(errs, s.validateJob(field)...)
	if s.Replicas != nil {
		errs = append(errs, ValidateReplicas(field+".replicas", *s.Replicas)...)
	}
	switch s.RestartPolicy {
	case RestartAlways, RestartOnFailure, RestartNever:
	default:
		errs.add(field+".restartPolicy", string(s.RestartPolicy), "always, on-failure or never")
	}
	switch s.OnPartition {
	case PartitionKeep, PartitionStop:
	default:
		errs.add(field+".onPartition", string(s.OnPartition), "keep or stop")
	}
	if s.GracePeriod < 0 || s.GracePeriod > MaxGracePeriod {
		errs.add(field+".gracePeriod", s.GracePeriod.String(), "0s to %s", MaxGracePeriod)
	}
	if s.Strategy != nil {
		errs = append(errs, s.Strategy.Validate(field+".strategy")...)
	}
	errs = append(errs, ValidateLabels(field+".nodeSelector", s.NodeSelector)...)
	errs = append(errs, s.validatePlacement(field)...)
	if n := len(s.Containers); n < 1 || n > MaxContainers {
		errs.add(field+".containers", strconv.Itoa(n), "1 to %d containers", MaxContainers)
	}
	names, hostPorts, ports := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, c := range s.Containers {
		at := fmt.Sprintf("%s.containers[%d]", field, i)
		errs = append(errs, c.Validate(at)...)
		if names[c.Name] {
			errs.add(at+".name", c.Name, "each container's name once")
		}
		names[c.Name] = true
		for j, p := range c.Ports {
			here := fmt.Sprintf("%s.ports[%d]", at, j)
			if key := fmt.Sprintf("%d/%s", p.HostPort, p.Protocol); p.HostPort > 0 && hostPorts[key] {
				errs.add(here+".hostPort", key, "each host port and protocol once")
			} else {
				hostPorts[key] = true
			}
			key := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
			if ports[key] {
				errs.add(here+".containerPort", key, "each port and protocol once in an instance: its containers share a network")
			}
			ports[key] = true
		}
	}
	return errs
}

// ValidateReplicas reports a number of replicas that nobody can mean.
func ValidateReplicas(field string, n int) (errs Errors) {
	if n < 0 || n > MaxReplicas {
		errs.add(field, strconv.Itoa(n), "0 to %d", MaxReplicas)
	}
	return errs
}

// Requests is what one instance reserves on its node: the sum over its containers.
func (s WorkloadSpec) Requests() (sum Resources) {
	for _, c := range s.Containers {
		sum = sum.Add(c.Resources.Requests)
	}
	return sum
}

// HostPorts lists the ports that one instance takes on its node.
func (s WorkloadSpec) HostPorts() (ports []Port) {
	for _, c := range s.Containers {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				ports = append(ports, p)
			}
		}
	}
	return ports
}
