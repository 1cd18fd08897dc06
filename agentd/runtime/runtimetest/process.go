package runtimetest

import (
	"fmt"
	"os"
	"strings"
)

// zombie reports whether a process has ended and only waits for whoever reaps it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
