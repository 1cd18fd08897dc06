package spec

import (
	"fmt"
	"slices"
	"strconv"
)

// WhenUnsatisfiable says what becomes of an instance that would make a spread too uneven.
type WhenUnsatisfiable string

// What becomes of it.
const (
	DoNotSchedule  WhenUnsatisfiable = "DoNotSchedule"  // it waits
	ScheduleAnyway WhenUnsatisfiable = "ScheduleAnyway" // it goes where the spread is most even
)

// TopologySpread keeps instances evenly spread over domains: nodes with the same value of a label.
type TopologySpread struct {
	TopologyKey       string            `json:"topologyKey"`                 // such as zone; rutter.run/node: the node itself
	MaxSkew           int               `json:"maxSkew,omitempty"`           // how many more than in the emptiest domain; 1 where absent
	WhenUnsatisfiable WhenUnsatisfiable `json:"whenUnsatisfiable,omitempty"` // DoNotSchedule where empty
	LabelSelector     *LabelSelector    `json:"labelSelector,omitempty"`     // of the namespace; the workload's own instances where absent
}

// Default fills what the user may leave out.
func (s *TopologySpread) Default() {
	if s.MaxSkew == 0 {
		s.MaxSkew = 1
	}
	if s.WhenUnsatisfiable == "" {
		s.WhenUnsatisfiable = DoNotSchedule
	}
}

// Validate reports every fault, with field as the path.
func (s TopologySpread) Validate(field string) Errors {
	errs := validateTopologyKey(field, s.TopologyKey)
	if s.MaxSkew < 1 {
		errs.add(field+".maxSkew", strconv.Itoa(s.MaxSkew), "1 or more")
	}
	if !slices.Contains([]WhenUnsatisfiable{DoNotSchedule, ScheduleAnyway}, s.WhenUnsatisfiable) {
		errs.add(field+".whenUnsatisfiable", string(s.WhenUnsatisfiable), "DoNotSchedule or ScheduleAnyway")
	}
	if s.LabelSelector != nil {
		errs = append(errs, s.LabelSelector.validate(field+".labelSelector")...)
	}
	return errs
}

// validatePlacement reports every fault of what a workload says of where it is to run.
func (s WorkloadSpec) validatePlacement(field string) (errs Errors) {
	errs = append(errs, s.Affinity.Validate(field+".affinity")...)
	for n, t := range s.Tolerations {
		errs = append(errs, t.Validate(fmt.Sprintf("%s.tolerations[%d]", field, n))...)
	}
	for n, t := range s.TopologySpread {
		errs = append(errs, t.Validate(fmt.Sprintf("%s.topologySpread[%d]", field, n))...)
	}
	if s.Policy != "" {
		errs = append(errs, ValidateName(field+".policy", s.Policy)...)
	}
	return append(errs, s.Priority.Validate(field+".priority")...)
}
