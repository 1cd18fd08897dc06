package runc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestForeignSystemCallsComeWithTheirLoader: what cannot run 32-bit programs is not let make their calls, which every start would pay for.
func TestForeignSystemCallsComeWithTheirLoader(t *testing.T) {
	all := []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	rootfs := t.TempDir()
	if got := architectures(all, rootfs); !slices.Equal(got, all[:1]) {
		t.Errorf("without a loader: %v, want the native one alone", got)
	}
	if err := os.MkdirAll(filepath.Join(rootfs, "usr/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	// As distributions have it since they have merged /lib and /usr/lib, and the loader itself may be a link that leads nowhere from outside.
	for link, to := range map[string]string{"lib": "usr/lib", "usr/lib/ld-linux.so.2": "/nowhere/ld-2.36.so"} {
		if err := os.Symlink(to, filepath.Join(rootfs, link)); err != nil {
			t.Fatal(err)
		}
	}
	if got := architectures(all, rootfs); !slices.Equal(got, all) {
		t.Errorf("with the 32-bit loader: %v, want %v", got, all)
	}
	if got := architectures(nil, rootfs); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}
