package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endFamily kills a process that leads a session, all that is in the session, and all that descends from either. The OCI runtime makes
// every process that it runs a session's leader, so what a shell has put into the background is found as well.
func endFamily(leader int) {
	// Stopped first, so that none of them makes another while they are looked for.
	const most = 1000
	held := map[int]bool{}
	for range most {
		fresh := slices.DeleteFunc(family(leader, held), func(pid int) bool { return held[pid] })
		if len(fresh) == 0 {
			break
		}
		for _, pid := range fresh {
			held[pid] = true
			_ = unix.Kill(pid, unix.SIGSTOP) // it may have ended just now
		}
	}
	for pid := range held {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// family lists the processes of a session and the descendants of those and of others.
func family(session int, others map[int]bool) []int {
	children, in := map[int][]int{}, map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		text := string(data)
		pid, err := strconv.Atoi(strings.TrimSpace(text[:max(0, strings.IndexByte(text, '('))]))
		// The name may hold anything, brackets too.
		var state string
		var parent, group, of int
		if _, scanErr := fmt.Sscan(text[strings.LastIndexByte(text, ')')+1:], &state, &parent, &group, &of); err != nil || scanErr != nil || state == "Z" {
			continue
		}
		children[parent] = append(children[parent], pid)
		in[pid] = of == session || others[pid]
	}
	var all []int
	var take func(pid int)
	seen := map[int]bool{}
	take = func(pid int) {
		if seen[pid] {
			return
		}
		seen[pid] = true
		all = append(all, pid)
		for _, child := range children[pid] {
			take(child)
		}
	}
	for pid, member := range in {
		if member {
			take(pid)
		}
	}
	return all
}
