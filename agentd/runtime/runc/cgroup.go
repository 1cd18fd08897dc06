package runc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// unified reports whether only version 2 of cgroups is mounted.
func unified() bool {
	var fs unix.Statfs_t
	return unix.Statfs(cgroupRoot, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// cgroupDirs are the directories of a cgroup: one on version 2, one for each hierarchy on version 1. Controllers that are mounted
// together have several names for one directory; it is listed once.
func cgroupDirs(cgroup string) (dirs []string) {
	if unified() {
		if _, err := os.Stat(cgroupRoot + cgroup); err == nil {
			return []string{cgroupRoot + cgroup}
		}
		return nil
	}
	hierarchies, _ := os.ReadDir(cgroupRoot) // nothing mounted: nothing there
	for _, h := range hierarchies {
		if !shim.CgroupMounted(filepath.Join(cgroupRoot, h.Name())) {
			continue
		}
		dir := filepath.Join(cgroupRoot, h.Name(), cgroup)
		if real, err := filepath.EvalSymlinks(dir); err == nil && !slices.Contains(dirs, real) {
			dirs = append(dirs, real)
		}
	}
	return dirs
}

// processes are the processes of a cgroup, by any of its hierarchies.
func processes(cgroup string) map[int]bool {
	pids := map[int]bool{}
	for _, dir := range cgroupDirs(cgroup) {
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // gone meanwhile: empty
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
	}
	return pids
}

// clearCgroup kills what is in a cgroup and removes it.
func clearCgroup(ctx context.Context, cgroup string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		pids := processes(cgroup)
		for pid := range pids {
			if err := killAndWait(ctx, cgroup, pid); err != nil {
				return fmt.Errorf("kill process %d of cgroup %s: %w", pid, cgroup, err)
			}
		}
		if len(pids) == 0 {
			break
		}
		// A process that is dead may be counted until its parent has seen it, which no descriptor tells.
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("kill the processes %v of cgroup %s: %w", slices.Sorted(maps.Keys(pids)), cgroup, ctx.Err())
		}
	}
	for _, dir := range cgroupDirs(cgroup) {
		if err := removeCgroup(dir); err != nil {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// killAndWait kills a process of a cgroup and returns when it has ended.
func killAndWait(ctx context.Context, cgroup string, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	// From here the descriptor names one process; that it still is the one of the cgroup must be asked again.
	if !processes(cgroup)[pid] {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for {
		deadline, _ := ctx.Deadline()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(deadline).Milliseconds(), 0)))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return context.DeadlineExceeded
		default:
			return nil
		}
	}
}

// removeCgroup removes a cgroup and those that processes in it made below.
func removeCgroup(dir string) error {
	below, _ := os.ReadDir(dir) // gone: nothing below
	for _, b := range below {
		if b.IsDir() {
			if err := removeCgroup(filepath.Join(dir, b.Name())); err != nil {
				return err
			}
		}
	}
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		// A process that has just ended counts for a moment more, and nothing tells when it does not.
		if !errors.Is(err, unix.EBUSY) || pause > time.Second {
			return err
		}
		time.Sleep(pause)
	}
}

// removeEmptyCgroups removes a cgroup that holds nothing, and its parent if it then holds nothing either.
func removeEmptyCgroups(cgroup string) {
	for _, c := range []string{cgroup + "/shims", cgroup, filepath.Dir(cgroup)} {
		for _, dir := range cgroupDirs(c) {
			_ = unix.Rmdir(dir) // in use: it stays
		}
	}
}

// Stats implements runtime.Containers.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	status, _, err := r.inspect(ctx, id)
	if err == nil && status.State != runtime.StateRunning {
		err = runtime.ErrNotRunning
	}
	if err != nil {
		return runtime.Stats{}, fmt.Errorf("stats of %s: %w", id, err)
	}
	cgroup := r.cgroupOf(id)
	var s runtime.Stats
	if unified() {
		dir := cgroupRoot + cgroup
		s.CPU = time.Duration(field(dir+"/cpu.stat", "usage_usec")) * time.Microsecond
		s.Memory = spec.Bytes(number(dir+"/memory.current") - field(dir+"/memory.stat", "inactive_file"))
		s.PIDs = int(number(dir + "/pids.current"))
	} else {
		memory := filepath.Join(cgroupRoot, "memory", cgroup)
		s.CPU = time.Duration(number(filepath.Join(cgroupRoot, "cpuacct", cgroup, "cpuacct.usage")))
		s.Memory = spec.Bytes(number(memory+"/memory.usage_in_bytes") - field(memory+"/memory.stat", "total_inactive_file"))
		s.PIDs = int(number(filepath.Join(cgroupRoot, "pids", cgroup, "pids.current")))
	}
	s.Memory = max(s.Memory, 0)
	return s, nil
}

// number reads a file of one number; 0 where the controller is not there.
func number(path string) int64 {
	data, _ := os.ReadFile(path)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// field reads one line of a file of names and numbers.
func field(path, name string) int64 {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}
