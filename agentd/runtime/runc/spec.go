package runc

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"golang.org/x/sys/unix"
)

// input is all that an OCI specification is made of.
type input struct {
	config  runtime.ContainerConfig
	image   v1.Config
	rootfs  string // mounted
	cgroup  string
	sandbox sandbox
	etc     string // directory of hosts, hostname and resolv.conf
	node    node
}

// specVersion is what Debian 12's runc understands.
const specVersion = "1.0.2"

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// build makes the OCI specification of a container, from containerd's defaults.
func build(in input) (*specs.Spec, error) {
	c := in.config.Spec
	// The namespace is containerd's word for one that nothing here depends on.
	ctx := namespaces.WithNamespace(context.Background(), "rutter")
	s, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: in.config.ID}, oci.WithoutRunMount)
	if err != nil {
		return nil, fmt.Errorf("default OCI specification: %w", err)
	}
	s.Version = specVersion
	s.Hostname = in.sandbox.Hostname
	s.Root = &specs.Root{Path: "rootfs", Readonly: c.SecurityContext.ReadOnlyRootFilesystem}

	p := s.Process
	if p.Args = arguments(in); len(p.Args) == 0 {
		return nil, fmt.Errorf("%w: neither the container nor its image names a command", runtime.ErrBadConfig)
	}
	p.Env = environment(in)
	p.Cwd = "/"
	for _, dir := range []string{in.image.WorkingDir, c.WorkingDir} {
		if dir != "" {
			p.Cwd = path.Join("/", dir)
		}
	}
	p.Rlimits = openFiles()
	user := c.SecurityContext.User
	if user == "" {
		user = in.image.User
	}
	if p.User, err = resolveUser(in.rootfs, user); err != nil {
		return nil, err
	}
	p.NoNewPrivileges = !c.SecurityContext.AllowPrivilegeEscalation
	score := oomScore(c.Resources, in.node.memory)
	p.OOMScoreAdj = &score
	secure(s, c.SecurityContext, in.rootfs)

	s.Linux.CgroupsPath = in.cgroup
	limit(s.Linux.Resources, c.Resources, in.node)
	for i := range s.Linux.Namespaces {
		if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
			s.Linux.Namespaces[i].Path = in.sandbox.NetNSPath
		}
	}
	if !in.node.unified {
		// On version 1 a cgroup namespace hides what the container's own /sys/fs/cgroup shows.
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
	}
	s.Mounts = append(s.Mounts, specs.Mount{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"},
	})
	options := []string{"rbind", "rprivate", "rw"}
	if c.SecurityContext.ReadOnlyRootFilesystem {
		options[2] = "ro"
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		s.Mounts = append(s.Mounts, specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: filepath.Join(in.etc, name), Options: options,
		})
	}
	return s, nil
}

// arguments joins command and arguments as Kubernetes does: a command replaces the image's entrypoint and its arguments with it.
func arguments(in input) []string {
	c := in.config.Spec
	switch {
	case len(c.Command) > 0:
		return slices.Concat(c.Command, c.Args)
	case len(c.Args) > 0:
		return slices.Concat(in.image.Entrypoint, c.Args)
	}
	return slices.Concat(in.image.Entrypoint, in.image.Cmd)
}

// environment joins the sources of the environment, the later ones over the earlier.
func environment(in input) []string {
	all := append([]string{defaultPath, "HOSTNAME=" + in.sandbox.Hostname}, in.image.Env...)
	for _, e := range in.config.Env {
		all = append(all, e.Name+"="+e.Value)
	}
	for _, e := range in.config.Spec.Env {
		all = append(all, e.Name+"="+e.Value)
	}
	return merge(all)
}

// merge keeps the last value of each variable, at its first place.
func merge(all []string) (env []string) {
	at := map[string]int{}
	for _, e := range all {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			env[i] = e
			continue
		}
		at[name] = len(env)
		env = append(env, e)
	}
	return env
}

// openFiles is systemd's choice: a low limit for programs that walk through all descriptors, and room for those that ask for more.
func openFiles() []specs.POSIXRlimit {
	const soft, hard = 1024, 524288
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return nil
	}
	return []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: min(soft, own.Max), Hard: min(hard, own.Max)}}
}

// node is what the machine has, as far as specifications depend on it.
type node struct {
	memory  int64
	unified bool
	swap    bool // the swap of a cgroup can be limited
}

func thisNode() node {
	n := node{memory: memoryTotal(), unified: unified()}
	if n.unified {
		swaps, err := os.ReadFile("/proc/swaps")
		n.swap = err == nil && strings.Count(string(swaps), "\n") > 1
	} else {
		_, err := os.Stat(cgroupRoot + "/memory/memory.memsw.limit_in_bytes")
		n.swap = err == nil
	}
	return n
}
