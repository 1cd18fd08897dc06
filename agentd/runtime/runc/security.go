package runc

import (
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/events/spec"
)

// secure sets what the process may do: capabilities and system calls.
func secure(s *specs.Spec, context spec.SecurityContext) {
	caps := capabilities(s.Process.Capabilities.Bounding, context.Capabilities)
	// No ambient and no inheritable ones: a process that is not root has none, whatever the file system says.
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps}
	if context.Seccomp != spec.SeccompUnconfined {
		s.Linux.Seccomp = seccomp.DefaultProfile(s) // which depends on the capabilities
	}
}

// capabilities are the default ones with some added and dropped. What is named beats ALL; of what is named twice, the drop holds.
func capabilities(byDefault []string, asked spec.Capabilities) []string {
	full := func(name string) string { return "CAP_" + strings.TrimPrefix(strings.ToUpper(name), "CAP_") }
	const all = "CAP_ALL"
	caps := slices.Clone(byDefault)
	for _, name := range asked.Add {
		if full(name) == all {
			caps = spec.AllCapabilities()
		}
	}
	for _, name := range asked.Drop {
		if full(name) == all {
			caps = nil
		}
	}
	for _, name := range asked.Add {
		if name := full(name); name != all && !slices.Contains(caps, name) {
			caps = append(caps, name)
		}
	}
	for _, name := range asked.Drop {
		caps = slices.DeleteFunc(caps, func(c string) bool { return c == full(name) })
	}
	return caps
}
