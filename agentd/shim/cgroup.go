package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oomKills is how many processes of a cgroup the kernel killed for want of memory. Both files have a line "oom_kill N".
func oomKills(cgroup string) int {
	for _, path := range []string{
		filepath.Join("/sys/fs/cgroup/memory", cgroup, "memory.oom_control"),
		filepath.Join("/sys/fs/cgroup", cgroup, "memory.events"),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(data) {
			if rest, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
				n, _ := strconv.Atoi(string(bytes.TrimSpace(rest))) // the kernel writes a number
				return n
			}
		}
	}
	return 0
}

// leaveCgroups moves this process out of its cgroups into the one named, in every hierarchy where it is not in the root: who is in
// the root is neither limited nor ended with a service.
func leaveCgroups(to string) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || to == "" {
		return
	}
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || f[2] == "/" || f[2] == to {
			continue
		}
		root := hierarchy(f[1])
		if !CgroupMounted(root) {
			continue
		}
		dir := filepath.Join(root, to)
		// A hierarchy that cannot be written to is not ours to care for.
		if os.MkdirAll(dir, 0o755) == nil {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
		}
	}
}

// CgroupMounted reports whether a hierarchy of cgroups is mounted at dir. Where none is, such as below the directory of one that was
// taken off, what looks like cgroups are files that somebody made.
func CgroupMounted(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.CGROUP_SUPER_MAGIC || fs.Type == unix.CGROUP2_SUPER_MAGIC)
}

// hierarchy is the directory where Linux distributions mount a hierarchy, given as in /proc/self/cgroup.
func hierarchy(controllers string) string {
	const root = "/sys/fs/cgroup"
	if controllers != "" {
		return filepath.Join(root, strings.TrimPrefix(controllers, "name="))
	}
	// Version 2: alone, or in hybrid mode beside the others.
	if _, err := os.Stat(filepath.Join(root, "unified", "cgroup.procs")); err == nil {
		return filepath.Join(root, "unified")
	}
	return root
}
