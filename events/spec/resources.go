package spec

import (
	"maps"
	"slices"
	"strconv"
)

// Resources is an amount of everything that a node can give: processor time, memory, disk, GPUs and custom resources.
// It is a value: no method changes its receiver.
type Resources struct {
	CPU    CPU              `json:"cpu,omitzero"`    // thousandths of a core
	Memory Bytes            `json:"memory,omitzero"` // bytes
	Disk   Bytes            `json:"disk,omitzero"`   // bytes of the node's container storage
	GPU    GPUs             `json:"gpu,omitzero"`    // thousandths of a device
	Custom map[string]Count `json:"custom,omitempty"`
}

// Add returns r with o added.
func (r Resources) Add(o Resources) Resources { return r.combine(o, 1) }

// Sub returns r with o taken away; amounts may go below zero.
func (r Resources) Sub(o Resources) Resources { return r.combine(o, -1) }

func (r Resources) combine(o Resources, sign int64) Resources {
	sum := Resources{
		CPU: r.CPU + CPU(sign)*o.CPU, Memory: r.Memory + Bytes(sign)*o.Memory,
		Disk: r.Disk + Bytes(sign)*o.Disk, GPU: r.GPU + GPUs(sign)*o.GPU,
	}
	if len(r.Custom)+len(o.Custom) > 0 {
		sum.Custom = make(map[string]Count, len(r.Custom)+len(o.Custom))
		maps.Copy(sum.Custom, r.Custom)
		for name, n := range o.Custom {
			sum.Custom[name] += Count(sign) * n
		}
	}
	return sum
}

// Holds reports whether o fits in r: Short without the names.
func (r Resources) Holds(o Resources) bool {
	if (o.CPU > r.CPU && o.CPU > 0) || (o.Memory > r.Memory && o.Memory > 0) || (o.Disk > r.Disk && o.Disk > 0) || (o.GPU > r.GPU && o.GPU > 0) {
		return false
	}
	for name, n := range o.Custom {
		if n > r.Custom[name] && n > 0 {
			return false
		}
	}
	return true
}

// Short names what o asks beyond r, in a fixed order (cpu, memory, disk, gpu, custom by name). Empty: o fits in r.
func (r Resources) Short(o Resources) []string {
	var short []string
	if o.CPU > r.CPU && o.CPU > 0 {
		short = append(short, "cpu")
	}
	if o.Memory > r.Memory && o.Memory > 0 {
		short = append(short, "memory")
	}
	if o.Disk > r.Disk && o.Disk > 0 {
		short = append(short, "disk")
	}
	if o.GPU > r.GPU && o.GPU > 0 {
		short = append(short, "gpu")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Custom)) {
		if n := o.Custom[name]; n > r.Custom[name] && n > 0 {
			short = append(short, name)
		}
	}
	return short
}

// Validate reports amounts below zero and names that are not label keys, with field as the path.
func (r Resources) Validate(field string) (errs Errors) {
	for _, a := range []struct {
		name string
		n    int64
	}{{"cpu", int64(r.CPU)}, {"memory", int64(r.Memory)}, {"disk", int64(r.Disk)}, {"gpu", int64(r.GPU)}} {
		if a.n < 0 {
			errs.add(field+"."+a.name, strconv.FormatInt(a.n, 10), "zero or more")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
		if !labelKey.MatchString(name) {
			errs.add(field+".custom", name, "a resource name such as example.com/widget")
		}
		if r.Custom[name] < 0 {
			errs.add(field+".custom."+name, strconv.FormatInt(int64(r.Custom[name]), 10), "zero or more")
		}
	}
	return errs
}

// Requirements is what a container reserves and what it may not exceed.
type Requirements struct {
	Requests Resources `json:"requests,omitzero"` // what the scheduler sets aside
	Limits   Resources `json:"limits,omitzero"`   // what the kernel enforces: cpu as quota, memory as the OOM limit
}

// Validate reports faults of either side and requests above their limits.
func (r Requirements) Validate(field string) Errors {
	errs := append(r.Requests.Validate(field+".requests"), r.Limits.Validate(field+".limits")...)
	errs = append(errs, r.Requests.GPU.validateRequest(field+".requests.gpu")...)
	if r.Limits.CPU > 0 && r.Requests.CPU > r.Limits.CPU {
		errs.add(field+".requests.cpu", r.Requests.CPU.String(), "no more than the limit %s", r.Limits.CPU)
	}
	if r.Limits.Memory > 0 && r.Requests.Memory > r.Limits.Memory {
		errs.add(field+".requests.memory", r.Requests.Memory.String(), "no more than the limit %s", r.Limits.Memory)
	}
	if r.Limits.Memory > 0 && r.Limits.Memory < MinMemoryLimit {
		errs.add(field+".limits.memory", r.Limits.Memory.String(), "at least %s, below which no container starts", MinMemoryLimit)
	}
	return errs
}

// MinMemoryLimit is the smallest memory limit that a container can start under.
const MinMemoryLimit = Bytes(6 << 20)
