package runc

import (
	"os"
	"path/filepath"
)

// CgroupsBelow lists the cgroups of containers of a Runtime on dir.
func CgroupsBelow(dir string) (all []string) {
	r, err := New(Config{Dir: dir, Images: noImages{}, Networks: noNetworks{}})
	if err != nil {
		return []string{err.Error()}
	}
	for _, d := range cgroupDirs(r.cgroup) {
		entries, _ := os.ReadDir(d)
		for _, e := range entries {
			if e.IsDir() && e.Name() != "shims" {
				all = append(all, filepath.Join(d, e.Name()))
			}
		}
	}
	return all
}

type noImages struct{ Images }

type noNetworks struct{ Networks }
