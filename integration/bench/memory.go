package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// shimMemory is what the shims of a node take, each, in bytes.
type shimMemory struct {
	count                  int
	resident, proportional int64 // medians; the second counts what several share in parts
	private                int64
}

// measureShims looks at the processes whose working directory is that of a container.
func measureShims(node string) (m shimMemory, err error) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return m, err
	}
	var resident, proportional, private []int64
	for _, link := range links {
		dir, err := os.Readlink(link)
		if err != nil || filepath.Dir(dir) != filepath.Join(node, "runtime", "containers") {
			continue
		}
		sums, err := rollup(filepath.Join(filepath.Dir(link), "smaps_rollup"))
		if err != nil {
			return m, err
		}
		resident, proportional = append(resident, sums["Rss"]), append(proportional, sums["Pss"])
		private = append(private, sums["Private_Clean"]+sums["Private_Dirty"])
	}
	if len(resident) == 0 {
		return m, errors.New("no shims below " + node)
	}
	middle := func(all []int64) int64 {
		slices.Sort(all)
		return all[len(all)/2]
	}
	return shimMemory{len(resident), middle(resident), middle(proportional), middle(private)}, nil
}

// rollup reads the sums of a process's mappings (proc(5)), in bytes.
func rollup(path string) (map[string]int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sums := map[string]int64{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			sums[strings.TrimSuffix(f[0], ":")] = kib << 10
		}
	}
	return sums, nil
}

func (m shimMemory) print(replicas int) {
	for _, one := range []struct {
		what, aim string
		bytes     int64
	}{
		{"resident", "< 8 MiB", m.resident}, {"proportional share", "", m.proportional}, {"private", "", m.private},
	} {
		figure{
			Figure: fmt.Sprintf("memory of a shim, %s, of %d", one.what, replicas), Value: float64(one.bytes) / (1 << 20), Unit: "MiB", Aim: one.aim,
			Note: fmt.Sprintf("median of %d", m.count),
		}.print()
	}
}
