package archive_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/design/audit.md is enough to verify an export: a program that shares no code with this one does.
func TestAnotherLanguageVerifiesAnExport(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on this machine: ", err)
	}
	o := newOriginal(t)
	dir := t.TempDir()
	key, kept := filepath.Join(dir, "auditor.vkey"), filepath.Join(dir, "kept.txt")
	require.NoError(t, os.WriteFile(key, []byte(o.key.Public+"\n"), 0o600))
	require.NoError(t, os.WriteFile(kept, []byte(o.header.Checkpoint), 0o600))
	verify := func(lines ...[]byte) (string, error) {
		cmd := exec.CommandContext(t.Context(), node, filepath.Join("..", "..", "deploy", "examples", "verify", "verify.mjs"), key, kept)
		cmd.Stdin = bytes.NewReader(bytes.Join(lines, nil))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := verify(o.lines...)
	require.NoError(t, err, out)
	require.Equal(t, "events 1 to 300 are what was signed\n", out)
	changed := bytes.Replace(bytes.Join(o.lines, nil), []byte("node-007"), []byte("node-008"), 1)
	out, err = verify(changed)
	require.Error(t, err)
	require.Equal(t, "events 1 to 300 are not what was signed\n", out)
	out, err = verify(o.lines[:200]...)
	require.Error(t, err)
	require.Contains(t, out, "the tail is cut")
}
