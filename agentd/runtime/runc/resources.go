package runc

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/events/spec"
)

const (
	pidsLimit = 4096
	period    = 100_000 // microseconds over which the CPU quota holds
	minQuota  = 1_000   // the kernel takes no less
	minShares = 2       // nor this
	maxShares = 262_144 // nor more than this
)

// limit sets what the kernel enforces.
func limit(r *specs.LinuxResources, asked spec.Requirements, n node) {
	most := int64(pidsLimit)
	r.Pids = &specs.LinuxPids{Limit: &most}
	// One core is 1024 shares. A container that reserves nothing gets what the others leave.
	shares := uint64(min(max(int64(asked.Requests.CPU)*1024/1000, minShares), maxShares))
	r.CPU = &specs.LinuxCPU{Shares: &shares}
	if asked.Limits.CPU > 0 {
		quota, every := max(int64(asked.Limits.CPU)*period/1000, minQuota), uint64(period)
		r.CPU.Quota, r.CPU.Period = &quota, &every
	}
	if asked.Limits.Memory > 0 {
		bytes := int64(asked.Limits.Memory)
		r.Memory = &specs.LinuxMemory{Limit: &bytes}
		if n.swap {
			both := bytes // memory and swap together: no swap beyond the limit
			r.Memory.Swap = &both
		}
	}
}

// oomScore orders who goes first when the node runs out of memory, as Kubernetes does: who reserved nothing, then who uses more than
// reserved, last who reserved all that it may use.
func oomScore(asked spec.Requirements, total int64) int {
	const never, last, first = -997, 3, 1000
	r, l := asked.Requests, asked.Limits
	switch {
	case l.CPU > 0 && l.Memory > 0 && r.CPU == l.CPU && r.Memory == l.Memory:
		return never
	case r.CPU == 0 && r.Memory == 0 || total <= 0:
		return first
	}
	return int(min(max(first-first*int64(r.Memory)/total, last), first-1))
}
