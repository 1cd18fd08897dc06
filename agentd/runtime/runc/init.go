package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sys/unix"
)

// Init implements runtime.Runtime. All that is missing is named at once.
func (r *Runtime) Init(ctx context.Context) error {
	var faults []error
	if os.Geteuid() != 0 {
		faults = append(faults, fmt.Errorf("%w: containers need root, and this process has user id %d", runtime.ErrPreflight, os.Geteuid()))
	}
	faults = append(faults, r.findBinary(ctx), cgroupsFit(), overlayFits(ctx), r.config.Networks.Init())
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, dir := range []string{"containers", "sandboxes", "logs", "oci", "trash"} {
		if err := os.MkdirAll(r.path(dir), 0o700); err != nil {
			return fmt.Errorf("make %s: %w", r.path(dir), diskFull(err))
		}
	}
	// What a crash kept from being deleted. Nothing is mounted there.
	left, err := filepath.Glob(r.path("trash", "*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return errors.Join(err, r.sweep(ctx))
}

// sweep takes away what a crash left of containers that were not yet, or no longer, on record.
func (r *Runtime) sweep(ctx context.Context) error {
	dirs, err := os.ReadDir(r.path("containers"))
	for _, d := range dirs {
		if _, statErr := os.Stat(filepath.Join(r.dir(d.Name()), recordFile)); !errors.Is(statErr, os.ErrNotExist) {
			continue
		}
		r.log.WithField("container", d.Name()).Warn("removing a container without a record")
		if disposeErr := r.dispose(ctx, d.Name()); disposeErr != nil {
			r.log.WithField("container", d.Name()).WithError(disposeErr).Warn("not removed")
		}
	}
	return err
}

// findBinary finds the OCI runtime and makes sure that it runs.
func (r *Runtime) findBinary(ctx context.Context) error {
	found, err := exec.LookPath(r.config.Binary)
	if err != nil && !strings.Contains(r.config.Binary, "/") {
		// A service may have a PATH without the directories of the administrator.
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
			if path, other := exec.LookPath(filepath.Join(dir, r.config.Binary)); other == nil {
				found, err = path, nil
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w: no OCI runtime %s (Debian package %s): %w", runtime.ErrPreflight, r.config.Binary, filepath.Base(r.config.Binary), err)
	}
	if found, err = filepath.Abs(found); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, found, "--version").Output()
	if err != nil {
		return fmt.Errorf("%w: %s --version: %w", runtime.ErrPreflight, found, err)
	}
	name, version, ok := parseVersion(string(out))
	if !ok {
		return fmt.Errorf("%w: %s --version says %q, want \"runc version …\"", runtime.ErrPreflight, found, out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config.Binary, r.version = found, name+" "+version
	return nil
}

// parseVersion reads the first line of --version: "runc version 1.1.5+ds1".
func parseVersion(out string) (name, version string, ok bool) {
	line, _, _ := strings.Cut(out, "\n")
	f := strings.Fields(line)
	if len(f) < 3 || f[1] != "version" {
		return "", "", false
	}
	version, _, _ = strings.Cut(f[2], "+")
	return f[0], version, true
}

// cgroupsFit makes sure that the controllers that limits need are there.
func cgroupsFit() error {
	var missing []string
	if unified() {
		data, _ := os.ReadFile(cgroupRoot + "/cgroup.controllers") // unreadable: all are missing
		for _, c := range []string{"cpu", "memory", "pids"} {
			if !slices.Contains(strings.Fields(string(data)), c) {
				missing = append(missing, c)
			}
		}
	} else {
		for _, c := range []string{"cpu", "cpuacct", "memory", "pids", "devices", "freezer"} {
			if _, err := os.Stat(filepath.Join(cgroupRoot, c, "cgroup.procs")); err != nil {
				missing = append(missing, c)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: cgroup controllers %s are not mounted below %s (systemd or the Debian package cgroupfs-mount mounts them)",
			runtime.ErrPreflight, strings.Join(missing, ", "), cgroupRoot)
	}
	return nil
}

// overlayFits makes sure that the kernel has overlayfs, loading its module where need be.
func overlayFits(ctx context.Context) error {
	known := func() bool {
		data, err := os.ReadFile("/proc/filesystems")
		return err == nil && strings.Contains(string(data), "\toverlay\n")
	}
	if known() {
		return nil
	}
	err := exec.CommandContext(ctx, "modprobe", "overlay").Run()
	if known() {
		return nil
	}
	return fmt.Errorf("%w: the kernel has no overlayfs (module overlay; Debian packages linux-image-* have it): %w", runtime.ErrPreflight, err)
}

// Info implements runtime.Runtime.
func (r *Runtime) Info(context.Context) (runtime.Info, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(r.config.Dir, &disk); err != nil {
		return runtime.Info{}, fmt.Errorf("size of the disk of %s: %w", r.config.Dir, err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return runtime.Info{}, fmt.Errorf("kernel version: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return runtime.Info{
		Capacity: spec.Resources{
			CPU: spec.CPU(goruntime.NumCPU() * 1000), Memory: spec.Bytes(memoryTotal()), Disk: spec.Bytes(disk.Blocks * uint64(disk.Bsize)),
		},
		Architecture: goruntime.GOARCH, OS: goruntime.GOOS, Kernel: unix.ByteSliceToString(name.Release[:]), Runtime: r.version,
	}, nil
}

func memoryTotal() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
