package boot

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestADataDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir() + "/made"
	release, err := LockDir(dir, "agentd")
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockDir(dir, "up")
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("the second: %v, want %v", err, ErrInUse)
	}
	for _, says := range []string{dir, fmt.Sprintf("rutter agentd (process %d)", os.Getpid()), "--data-dir"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	release()
	release, err = LockDir(dir, "up")
	if err != nil {
		t.Fatalf("once it is free: %v", err)
	}
	release()
}
