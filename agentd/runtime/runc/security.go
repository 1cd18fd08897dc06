package runc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/events/spec"
)

// secure sets what the process may do: capabilities and system calls.
func secure(s *specs.Spec, context spec.SecurityContext, rootfs string) {
	caps := capabilities(s.Process.Capabilities.Bounding, context.Capabilities)
	// No ambient and no inheritable ones: a process that is not root has none, whatever the file system says.
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps}
	if context.Seccomp != spec.SeccompUnconfined {
		s.Linux.Seccomp = seccomp.DefaultProfile(s) // which depends on the capabilities
		s.Linux.Seccomp.Architectures = architectures(s.Linux.Seccomp.Architectures, rootfs)
	}
}

// architectures are the kinds of system calls that the seccomp profile speaks of; a call of another kind ends its process. Each of them
// costs the OCI runtime about as much time as half of all else that a start needs, so the 32-bit ones are there only for images that can
// run 32-bit programs: those that have their loader. Native comes first in containerd's list.
func architectures(all []specs.Arch, rootfs string) []specs.Arch {
	if len(all) < 2 {
		return all
	}
	for _, loader := range []string{"lib/ld-linux.so.2", "lib/ld-musl-i386.so.1", "lib/ld-linux-armhf.so.3", "lib/ld-linux.so.3", "lib/ld-musl-armhf.so.1"} {
		if _, err := os.Lstat(filepath.Join(rootfs, loader)); err == nil {
			return all
		}
	}
	return all[:1]
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
