package forgetful_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/integration/durability/forgetful"
)

func mount(t *testing.T) *forgetful.Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse")
	}
	disk, err := forgetful.Mount(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = disk.Cut() })
	return disk
}

func TestOnlyWhatWasFsyncedIsLeft(t *testing.T) {
	disk := mount(t)
	path := func(name string) string { return filepath.Join(disk.Mount, name) }
	require.NoError(t, os.Mkdir(path("dir"), 0o755))
	f, err := os.Create(path("dir/a"))
	require.NoError(t, err)
	_, err = f.WriteString("kept")
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	_, err = f.WriteString(" and lost")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	always, err := os.OpenFile(path("always"), os.O_WRONLY|os.O_CREATE|os.O_SYNC, 0o644)
	require.NoError(t, err)
	_, err = always.WriteString("every write")
	require.NoError(t, err)
	require.NoError(t, always.Close())
	require.NoError(t, os.WriteFile(path("never"), []byte("lost"), 0o644))
	require.NoError(t, os.WriteFile(path("gone"), []byte("lost"), 0o644))
	require.NoError(t, os.Rename(path("never"), path("renamed")))
	require.NoError(t, os.Remove(path("gone")))
	whole, err := os.ReadFile(path("dir/a"))
	require.NoError(t, err)
	require.Equal(t, "kept and lost", string(whole), "as long as there is power all is there")

	left, err := disk.Cut()
	require.NoError(t, err)
	for name, want := range map[string]string{"dir/a": "kept", "always": "every write", "renamed": ""} {
		got, err := os.ReadFile(filepath.Join(left, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	for _, name := range []string{"never", "gone"} {
		require.NoFileExists(t, filepath.Join(left, name))
	}
}
