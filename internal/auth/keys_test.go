package auth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/internal/auth"
)

// contents are a directory's files, and a check that nobody but their owner reads them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		if entry.IsDir() {
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), path)
			return nil
		}
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		all[path] = string(data)
		return nil
	}))
	return all
}

func TestInitMakesKeysOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "auth")
	_, err := auth.Init(dir)
	require.NoError(t, err)
	first := contents(t, dir)
	for _, user := range []string{auth.UserReconciler, auth.UserScheduler, auth.UserNodeHealth, auth.UserGateway, auth.UserAdmin} {
		require.Contains(t, first, filepath.Join(dir, user+".creds"))
	}
	_, err = auth.Init(dir)
	require.NoError(t, err)
	require.Equal(t, first, contents(t, dir))
}

func TestInitCompletesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	d, err := auth.Init(dir)
	require.NoError(t, err)
	before := contents(t, dir)
	require.NoError(t, os.Remove(d.Creds(auth.UserScheduler)))
	_, err = auth.Init(dir)
	require.NoError(t, err)
	after := contents(t, dir)
	require.NotEqual(t, before[d.Creds(auth.UserScheduler)], after[d.Creds(auth.UserScheduler)])
	delete(before, d.Creds(auth.UserScheduler))
	delete(after, d.Creds(auth.UserScheduler))
	require.Equal(t, before, after)
}

// A server's machine needs the public files alone.
func TestTrustNeedsNoSecret(t *testing.T) {
	whole, public := t.TempDir(), t.TempDir()
	d, err := auth.Init(whole)
	require.NoError(t, err)
	want, err := d.Trust()
	require.NoError(t, err)
	tokens, err := filepath.Glob(filepath.Join(whole, "*.jwt"))
	require.NoError(t, err)
	for _, token := range tokens {
		data, err := os.ReadFile(token)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(public, filepath.Base(token)), data, 0o600))
	}
	got, err := auth.LoadTrust(public)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
