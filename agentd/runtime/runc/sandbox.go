package runc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"golang.org/x/sys/unix"
)

// sandbox is what containers must know of their sandbox, in sandbox.json.
type sandbox struct {
	Hostname  string
	NetNSPath string
	Addresses []netip.Addr
}

const sandboxFile = "sandbox.json"

// CreateSandbox implements runtime.Sandboxes.
func (r *Runtime) CreateSandbox(ctx context.Context, config runtime.SandboxConfig) (runtime.Sandbox, error) {
	if !fileName(config.Instance) {
		return runtime.Sandbox{}, fmt.Errorf("sandbox %q: %w: the name must be usable as a file name", config.Instance, runtime.ErrBadConfig)
	}
	made, err := r.config.Networks.Add(ctx, config)
	if err != nil {
		return runtime.Sandbox{}, diskFull(err)
	}
	s := sandbox{Hostname: config.Hostname, NetNSPath: made.NetNSPath, Addresses: made.Addresses}
	if s.Hostname == "" {
		s.Hostname = config.Instance
	}
	if err := r.writeEtc(config.Instance, s); err != nil {
		return runtime.Sandbox{}, fmt.Errorf("sandbox %s: %w", config.Instance, diskFull(err))
	}
	return made, nil
}

// writeEtc writes the files of a sandbox, sandbox.json last.
func (r *Runtime) writeEtc(instance string, s sandbox) error {
	dir := r.path("sandboxes", instance)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for _, a := range s.Addresses {
		fmt.Fprintf(&hosts, "%s\t%s\n", a, s.Hostname)
	}
	for name, content := range map[string]string{
		"hosts": hosts.String(), "hostname": s.Hostname + "\n", "resolv.conf": resolvers("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"),
	} {
		// In place: running containers have the very file mounted.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return shim.WriteRecord(filepath.Join(dir, sandboxFile), s, false)
}

// resolvers is the node's resolver configuration. One whose servers all listen on the node's loopback, where containers do not reach
// them, is replaced by the one that systemd-resolved has for such cases.
func resolvers(usual, behind string) string {
	data, _ := os.ReadFile(usual) // a node without one has nothing to pass on
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err != nil || !a.IsLoopback() {
				return string(data)
			}
		}
	}
	if other, err := os.ReadFile(behind); err == nil {
		return string(other)
	}
	return string(data)
}

// sandbox reads what containers must know of their sandbox. One that is torn, or whose namespace went with a restart of the machine, is
// runtime.ErrSandboxBroken.
func (r *Runtime) sandbox(instance string) (sandbox, error) {
	var s sandbox
	ok, err := shim.ReadRecord(r.path("sandboxes", instance, sandboxFile), &s)
	switch {
	case err != nil && !ok:
		return s, fmt.Errorf("sandbox %s: %w", instance, err) // not read: nobody knows whether it is whole
	case err != nil:
		return s, fmt.Errorf("sandbox %s: %w: %w", instance, runtime.ErrSandboxBroken, err)
	case !ok:
		return s, fmt.Errorf("sandbox %s: %w: %w", instance, runtime.ErrSandboxBroken, runtime.ErrNotFound)
	case !isNamespace(s.NetNSPath):
		return s, fmt.Errorf("sandbox %s: %w: its network namespace is gone", instance, runtime.ErrSandboxBroken)
	}
	return s, nil
}

// isNamespace reports whether path is on the file system that namespaces are on (statfs(2), linux/magic.h).
func isNamespace(path string) bool {
	const nsfs = 0x6e736673
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == nsfs
}

// RemoveSandbox implements runtime.Sandboxes. The logs of the instance's containers go with it.
func (r *Runtime) RemoveSandbox(ctx context.Context, instance string) error {
	if !fileName(instance) {
		return nil
	}
	containers, err := r.configs(ctx)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if c.Instance == instance {
			return fmt.Errorf("remove sandbox %s: its container %s is still there", instance, c.ID)
		}
	}
	if err := r.config.Networks.Del(ctx, instance); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", instance, err)
	}
	return errors.Join(os.RemoveAll(r.path("sandboxes", instance)), os.RemoveAll(r.path("logs", instance)))
}

// ListSandboxes implements runtime.Sandboxes.
func (r *Runtime) ListSandboxes(context.Context) ([]runtime.Sandbox, error) {
	all, err := r.config.Networks.List()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for i, s := range all {
		known[s.Instance] = true
		switch _, err := r.sandbox(s.Instance); {
		case errors.Is(err, runtime.ErrSandboxBroken):
			all[i].Broken = true
		case err != nil:
			return nil, fmt.Errorf("list sandboxes: %w", err)
		}
	}
	// A crash amid a removal leaves files without a network.
	for _, kind := range []string{"sandboxes", "logs"} {
		dirs, err := os.ReadDir(r.path(kind))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list sandboxes: %w", err)
		}
		for _, d := range dirs {
			if !known[d.Name()] {
				known[d.Name()] = true
				all = append(all, runtime.Sandbox{Instance: d.Name(), Broken: true})
			}
		}
	}
	return all, nil
}
