package logfile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFollowerLosesNoLineToRotation, however fast the files change their names under it.
func TestAFollowerLosesNoLineToRotation(t *testing.T) {
	const lines, files = 2_000, 120
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "log")
		w, err := Create(path, 1<<10, files)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			var text strings.Builder
			for i := range lines {
				fmt.Fprintf(&text, "line %d\n", i)
				if i%10 == 9 { // a rotation every few writes
					w.Copy(Stdout, strings.NewReader(text.String()))
					text.Reset()
				}
			}
		}()
		next := 0
		errGap := errors.New("gap")
		err = Read(context.Background(), path, Options{Tail: -1, Ended: ended}, func(l Line) error {
			if want := fmt.Sprintf("line %d", next); string(l.Text) != want {
				return fmt.Errorf("%w: %q where %q comes next", errGap, l.Text, want)
			}
			next++
			return nil
		})
		<-ended
		if err != nil || next != lines-lines%10 {
			t.Fatalf("round %d: %d of %d lines: %v", round, next, lines, err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
