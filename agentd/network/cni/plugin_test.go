package cni

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAPluginThatHangsIsGivenUp, and so is one that was killed and left somebody with its output.
func TestAPluginThatHangsIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	path, begun := filepath.Join(dir, "hung"), filepath.Join(dir, "child")
	script := "#!/bin/sh\nsleep 100 &\necho $! > " + begun + ".new\nmv " + begun + ".new " + begun + "\nwait\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := newPlugins().ExecPlugin(ctx, path, nil, os.Environ())
		given <- err
	}()
	child := awaitPID(t, begun)
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("a plugin that hangs: %v, want %v", err, context.Canceled)
	}
	if err := child.Kill(); err != nil {
		t.Errorf("the plugin's child was waited for: %v", err)
	}
}

// awaitPID waits for a file with a process identifier.
func awaitPID(t *testing.T, path string) *os.Process {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(path)
		if err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			process, err := os.FindProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			return process
		}
		if time.Now().After(deadline) {
			t.Fatal("the plugin did not begin")
		}
	}
}
