package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

// signed is a scene whose log is signed, and the file of its public key.
func signed(t *testing.T) (m *terminal, key string) {
	m = scene(t)
	key = filepath.Join(t.TempDir(), "auditor.vkey")
	require.NoError(t, os.WriteFile(key, []byte(m.Sign()+"\n"), 0o600))
	return m, key
}

func TestCheckpointsAndProofsAreCheckedBeforeTheyArePrinted(t *testing.T) {
	m, key := signed(t)
	checkpoint := m.run("audit", "checkpoint", "--key", key)
	require.Zero(t, checkpoint.code, checkpoint.err)
	require.True(t, strings.HasPrefix(checkpoint.out, "rutter.run/log/"), checkpoint.out)
	require.Contains(t, checkpoint.out, "\n\n— rutter.run/log/")
	require.Empty(t, checkpoint.err)
	require.Contains(t, m.run("audit", "checkpoint").err, "the signature was not checked")
	stranger, _, err := audit.NewKey()
	require.NoError(t, err)
	public, err := audit.PublicKey(stranger)
	require.NoError(t, err)
	require.Equal(t, 1, m.run("audit", "checkpoint", "--key", public).code)

	got := m.run("audit", "prove", "3", "--key", key)
	require.Zero(t, got.code, got.err)
	var proof api.InclusionProof
	require.NoError(t, json.Unmarshal([]byte(got.out), &proof))
	require.EqualValues(t, 3, proof.Sequence)
	leaf := tlog.RecordHash([]byte(proof.Line))
	require.Equal(t, leaf.String(), proof.Leaf)
	byID := m.run("audit", "prove", proof.ID, "--key", key)
	require.Equal(t, got.out, byID.out)
	require.Contains(t, m.run("audit", "prove", "nobody").err, "there is no event with the id nobody")
	require.Contains(t, m.run("audit", "prove", "99999").err, "there is no event 99999")

	kept := filepath.Join(t.TempDir(), "kept.txt")
	require.NoError(t, os.WriteFile(kept, []byte(checkpoint.out), 0o600))
	require.Zero(t, m.run("scale", "workload/web", "--replicas", "5", "--wait=false").code)
	m.Sign()
	got = m.run("audit", "consistency", kept, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "consistent: the ")
	require.Zero(t, m.run("audit", "consistency", "2", "4", "--key", key).code)
	require.Contains(t, m.run("audit", "consistency", "4", "2").err, "two sizes of the log, the older first")
	require.Equal(t, 2, m.run("audit", "consistency", "nowhere.txt").code)
	// A checkpoint of another history: the same log and size with another root.
	c, err := audit.Read([]byte(checkpoint.out))
	require.NoError(t, err)
	c.Root[0] ^= 1
	require.NoError(t, os.WriteFile(kept, []byte(c.Text()+"\n— x AAAA\n"), 0o600))
	got = m.run("audit", "consistency", kept)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "NOT consistent")
}

func TestAnExportIsVerifiedOffline(t *testing.T) {
	m, key := signed(t)
	kept := filepath.Join(t.TempDir(), "kept.txt")
	require.NoError(t, os.WriteFile(kept, []byte(m.run("audit", "checkpoint", "--key", key).out), 0o600))
	file := filepath.Join(t.TempDir(), "log.rutter")
	got := m.run("export", file, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "exported events 1 to ")
	require.Contains(t, got.out, "are what was signed")
	require.NoFileExists(t, file+".part")
	require.Contains(t, m.run("export", file).err, "is there already")
	piped := m.run("export", "-", "--key", key)
	require.Zero(t, piped.code, piped.err)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(data), piped.out)

	m.server.Close() // from here on there is no gateway
	got = m.run("audit", "verify", file, "--key", key, "--checkpoint", kept)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "verified: events 1 to ")
	require.Contains(t, m.run("audit", "verify", file).out, "whether that one is true only the log's public key tells")
	data[len(data)/2] ^= 4
	require.NoError(t, os.WriteFile(file, data, 0o600))
	got = m.run("audit", "verify", file, "--key", key, "--checkpoint", kept)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, file+": ")
	require.Equal(t, 2, m.run("audit", "verify", file, "--checkpoint", "12").code)
	require.Equal(t, 2, m.run("audit", "nonsense").code)
}

func TestTheAuditLogIsPrinted(t *testing.T) {
	m := scene(t)
	require.Equal(t, 1, m.run("scale", "workload/nobody", "--replicas", "5").code)
	got := m.run("audit", "log", "--outcome", "rejected")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "SEQUENCE  TIME (UTC)           OUTCOME   ACTOR             WHAT\n")
	require.Contains(t, got.out, "rejected  token:ada         scale workload/default/nobody: NotFound:")
	for line := range strings.Lines(m.run("audit", "log").out) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 100)
	}
	for line := range strings.Lines(m.run("audit", "log", "-o", "json").out) {
		require.True(t, json.Valid([]byte(line)), line)
	}
	require.Contains(t, m.run("audit", "log", "-o", "wide").out, "by reconciler, operation ")
	require.NotEmpty(t, m.run("audit", "log", "-o", "name").out)
}

func TestSegmentsGrowWithTheLog(t *testing.T) {
	m, key := signed(t)
	dir := filepath.Join(t.TempDir(), "segments")
	add := func() said {
		t.Helper()
		got := m.run("export", "--segments", dir, "--segment-events", "10", "--key", key)
		require.Zero(t, got.code, got.err)
		return got
	}
	names := func() (all []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	add()
	before := names()
	require.Greater(t, len(before), 1)
	require.Contains(t, add().out, "events already")
	require.Equal(t, before, names())
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		m.Apply(gatewaytest.Document(name, 0))
	}
	m.Sign()
	add()
	after := names()
	require.Greater(t, len(after), len(before))
	require.Equal(t, before[:len(before)-1], after[:len(before)-1], "full segments stay as they are")
	require.NotContains(t, after, before[len(before)-1], "the one that was not full was replaced")

	hash := m.View.View().Hash()
	got := m.run("audit", "verify", dir, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "are what was signed")
	got = m.run("replay", "--file", dir, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, hash)
	require.NoError(t, os.Remove(filepath.Join(dir, after[0])))
	require.Equal(t, 1, m.run("replay", "--file", dir, "--key", key).code)
	require.Equal(t, 2, m.run("export", "--segments", dir, "--from", "3").code)
}
