package placement

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// Policy is how the scheduler decides.
type Policy struct {
	Seed       uint64     `json:"seed,omitempty"`      // of the hash that decides between equals
	Default    string     `json:"default,omitempty"`   // the profile of workloads that name none; spread where empty
	Sample     Sample     `json:"sample,omitempty"`    // how many nodes that fit are looked at
	Overcommit Overcommit `json:"overcommit,omitzero"` // how much more is given away than there is
	Profiles   []Profile  `json:"profiles,omitempty"`  // further ones than the built-in, or in their place
}

// Profile is a choice of scores and what each counts for.
type Profile struct {
	Name    string         `json:"name"`
	Weights map[string]int `json:"scores"`            // what each score counts for, by its name
	Devices Devices        `json:"devices,omitempty"` // how GPUs are chosen on a node
	Ties    Ties           `json:"ties,omitempty"`    // which of two nodes that score the same

	Scores  []Weighted   `json:"-"` // Weights in the order of Scorers
	devices deviceChoice // Devices
}

// Devices says which of a node's GPUs a share goes to.
type Devices string

// The choices of GPUs.
const (
	DevicesFittest     Devices = "fittest"      // the one that has least left
	DevicesLeastBroken Devices = "least-broken" // the one on which fragmentation grows least
	DevicesAny         Devices = "any"          // any, by lot
)

// Ties says which of two nodes that score the same is chosen.
type Ties string

// The ways of breaking ties.
const (
	TiesByLot  Ties = "lot"  // by a hash of the task and the node: equal nodes share the load
	TiesByName Ties = "name" // the first by name: equal nodes are filled one after the other
)

// Sample is how many nodes that fit are looked at, in percent of all; 0: as many as four times the square root of their number, 100 at least.
type Sample int

// SampleAll looks at every node.
const SampleAll Sample = 100

// Overcommit is how much more of each resource is given away than a node has.
type Overcommit struct {
	CPU    Ratio `json:"cpu,omitempty"`
	Memory Ratio `json:"memory,omitempty"`
	Disk   Ratio `json:"disk,omitempty"`
}

// Ratio is a number such as 1.5, in thousandths; 0 is 1.
type Ratio int64

// MarshalJSON implements json.Marshaler.
func (r Ratio) MarshalJSON() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(r)/1000, 'f', -1, 64)), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Ratio) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	if err != nil || f < 0.001 || f > 1000 {
		return spec.FieldError{Value: strings.Trim(string(data), `"`), Want: "a ratio such as 1.5, from 0.001 to 1000"}
	}
	*r = Ratio(math.Round(f * 1000))
	return nil
}

func (r Ratio) of(n int64) int64 {
	if r == 0 || r == 1000 {
		return n
	}
	return n/1000*int64(r) + n%1000*int64(r)/1000
}

func (o Overcommit) of(r spec.Resources) spec.Resources {
	r.CPU, r.Memory, r.Disk = spec.CPU(o.CPU.of(int64(r.CPU))), spec.Bytes(o.Memory.of(int64(r.Memory))), spec.Bytes(o.Disk.of(int64(r.Disk)))
	return r
}

// The built-in profiles.
const (
	ProfileSpread        = "spread"
	ProfileBinPack       = "bin-pack"
	ProfileBalanced      = "balanced"
	ProfileRandom        = "random"
	ProfileBestFit       = "best-fit"
	ProfileDotProduct    = "dot-product"
	ProfileGPUPacking    = "gpu-packing"
	ProfileGPUClustering = "gpu-clustering"
	ProfileFGD           = "fgd"
	ProfileTightFGD      = "fgd-tight"
)

// wishes are what a workload says itself: they outweigh what the cluster prefers.
const wishes = 10_000_000

// builtIn lists the profiles that every policy has. What a workload prefers counts in each.
func builtIn() []Profile {
	byName := func(f Profile) Profile {
		f.Ties = TiesByName
		return f
	}
	with := func(name string, devices Devices, weights map[string]int) Profile {
		for _, own := range []string{"node-preferences", "instance-preferences", "topology-preferences", "taint-preferences"} {
			weights[own] = wishes
		}
		return Profile{Name: name, Devices: devices, Weights: weights}
	}
	return []Profile{
		// One instance fewer of the workload outweighs any difference in load.
		with(ProfileSpread, DevicesFittest, map[string]int{"spread": 10_000, "least-allocated": 1}),
		with(ProfileBinPack, DevicesFittest, map[string]int{"most-allocated": 10, "balanced": 1}),
		with(ProfileBalanced, DevicesFittest, map[string]int{"balanced": 2, "least-allocated": 1}),
		with(ProfileRandom, DevicesAny, map[string]int{"random": 1}),
		with(ProfileBestFit, DevicesFittest, map[string]int{"best-fit": 1}),
		byName(with(ProfileDotProduct, DevicesFittest, map[string]int{"dot-product": 1})),
		byName(with(ProfileGPUPacking, DevicesFittest, map[string]int{"gpu-packing": 1})),
		byName(with(ProfileGPUClustering, DevicesFittest, map[string]int{"gpu-clustering": 1})),
		byName(with(ProfileFGD, DevicesLeastBroken, map[string]int{"gpu-fragmentation": 1})),
		with(ProfileTightFGD, DevicesLeastBroken, map[string]int{"gpu-fragmentation": 20, "gpu-descent": 20, "best-fit": 1}),
	}
}

// DefaultPolicy is the policy where nobody chose one.
func DefaultPolicy() *Policy {
	p := &Policy{}
	if err := p.Complete(); err != nil {
		panic(err) // it is built in
	}
	return p
}

// ParsePolicy reads a policy from JSON or YAML.
func ParsePolicy(document []byte) (*Policy, error) {
	p := &Policy{}
	if err := spec.DecodeStrict(document, p); err != nil {
		return nil, fmt.Errorf("scheduling policy: %w: %w", events.ErrInvalid, err)
	}
	if err := p.Complete(); err != nil {
		return nil, err
	}
	return p, nil
}

// Complete adds the built-in profiles and checks the whole.
func (p *Policy) Complete() error {
	var errs spec.Errors
	add := func(field, value, want string) {
		errs = append(errs, spec.FieldError{Field: field, Value: value, Want: want})
	}
	if p.Sample < 0 || p.Sample > SampleAll {
		add("sample", strconv.Itoa(int(p.Sample)), "a percentage from 1 to 100, or 0")
	}
	for n := range p.Profiles {
		for _, fault := range p.Profiles[n].complete() {
			fault.Field = fmt.Sprintf("profiles[%d].%s", n, fault.Field)
			errs = append(errs, fault)
		}
	}
	for _, own := range builtIn() {
		if _, ok := p.Profile(own.Name); !ok {
			errs = append(errs, own.complete()...)
			p.Profiles = append(p.Profiles, own)
		}
	}
	if p.Default == "" {
		p.Default = ProfileSpread
	}
	if _, ok := p.Profile(p.Default); !ok {
		add("default", p.Default, "the name of a profile")
	}
	if err := errs.Err(); err != nil {
		return fmt.Errorf("scheduling policy: %w: %w", events.ErrInvalid, err)
	}
	return nil
}

func (f *Profile) complete() (errs spec.Errors) {
	add := func(field, value, want string) {
		errs = append(errs, spec.FieldError{Field: field, Value: value, Want: want})
	}
	if len(spec.ValidateName("name", f.Name)) > 0 {
		add("name", f.Name, "lower-case letters, digits and '-'")
	}
	if len(f.Weights) == 0 {
		add("scores", "", "a score at least")
	}
	f.Scores = nil
	var known []string
	for _, s := range Scorers {
		known = append(known, s.Name)
		if weight := f.Weights[s.Name]; weight > 0 {
			f.Scores = append(f.Scores, Weighted{s, int64(weight)})
		}
	}
	for name, weight := range f.Weights {
		if _, ok := scorerNamed(name); !ok {
			add("scores", name, "one of "+strings.Join(known, ", "))
		}
		if weight < 0 || weight > 1_000_000_000 {
			add("scores."+name, strconv.Itoa(weight), "0 to 1000000000")
		}
	}
	slices.SortFunc(errs, func(a, b spec.FieldError) int { return strings.Compare(a.Field+a.Value, b.Field+b.Value) })
	if f.Ties != "" && f.Ties != TiesByLot && f.Ties != TiesByName {
		add("ties", string(f.Ties), "lot or name")
	}
	switch f.Devices {
	case "", DevicesFittest:
		f.devices = fittest
	case DevicesLeastBroken:
		f.devices = leastBroken
	case DevicesAny:
		f.devices = anyDevice
	default:
		add("devices", string(f.Devices), "fittest, least-broken or any")
	}
	return errs
}

// Profile finds a profile by its name; the default where it is empty.
func (p *Policy) Profile(name string) (*Profile, bool) {
	if name == "" {
		name = p.Default
	}
	at := slices.IndexFunc(p.Profiles, func(f Profile) bool { return f.Name == name })
	if at < 0 {
		return nil, false
	}
	return &p.Profiles[at], true
}

// uses reports whether any profile that is built in is replaced, or the default uses a score.
func (f *Profile) uses(score string) bool { return f.Weights[score] > 0 }

var _ json.Marshaler = Ratio(0)
