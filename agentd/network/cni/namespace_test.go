package cni

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMakingNamespacesMovesNobody: whichever threads the goroutines of the process are on, it stays where it is.
func TestMakingNamespacesMovesNobody(t *testing.T) {
	place := func(of string) string {
		ns, err := os.Readlink("/proc/" + of + "/ns/net")
		if err != nil {
			t.Error(err)
		}
		return ns
	}
	home, dir := place("self"), t.TempDir()
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// A link is resolved on the thread that asks, whichever that is now.
				if here := place("thread-self"); here != home {
					t.Errorf("a goroutine finds itself in %s, want %s", here, home)
					return
				}
				runtime.Gosched()
			}
		})
	}
	const rounds, atOnce = 25, 8
	for round := range rounds {
		var all sync.WaitGroup
		for i := range atOnce {
			all.Go(func() {
				path := filepath.Join(dir, fmt.Sprintf("%d-%d", round, i))
				if err := newNamespace(path); err != nil {
					t.Error(err)
				}
				if err := removeNamespace(path); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if now := place("self"); now != home {
			t.Fatalf("after %d namespaces the process is in %s, want %s", (round+1)*atOnce, now, home)
		}
	}
	close(stop)
	watchers.Wait()
}

// The first thread cannot end: what asks for a thread of its own from there gets another.
func TestAThreadOfItsOwnIsNeverTheFirst(t *testing.T) {
	first := false
	for range 1000 {
		err := onThreadOfItsOwn(func() error {
			first = first || unix.Gettid() == unix.Getpid()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if first {
		t.Error("it was the first thread")
	}
}
