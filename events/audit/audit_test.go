package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/memlog"
)

func leaf(i int64) tlog.Hash { return tlog.RecordHash(fmt.Appendf(nil, "event %d", i)) }

// reference is the tree as the tlog library stores it.
func reference(n int64) tlog.HashReader {
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = all[at]
		}
		return out, nil
	})
	for i := range n {
		hashes, err := tlog.StoredHashesForRecordHash(i, leaf(i), reader)
		if err != nil {
			panic(err)
		}
		all = append(all, hashes...)
	}
	return reader
}

func TestTheTreeIsThatOfTheLibraryAtEverySize(t *testing.T) {
	const n, deep = 1500, 66_000 // beyond which the two of ours are held to each other, over three levels of tiles
	want := reference(n)
	tree, compact := &audit.Tree{}, &audit.Compact{}
	for i := range int64(deep) {
		if i < 600 || i%997 == 0 || i%256 < 2 && i%4096 < 2 || i > deep-500 {
			root := compact.Root()
			if i < n {
				known, err := tlog.TreeHash(i, want)
				require.NoError(t, err)
				require.Equal(t, known, root, i)
			}
			require.Equal(t, root, tree.Root(), i)
			again, err := audit.Resume(i, tree.Peaks())
			require.NoError(t, err)
			require.Equal(t, root, again.Root(), i)
			again.Append(leaf(i))
			compact.Append(leaf(i))
			require.Equal(t, compact.Root(), again.Root(), i)
		} else {
			compact.Append(leaf(i))
		}
		tree.Append(leaf(i))
	}
	_, err := audit.Resume(3, tree.Peaks())
	require.ErrorIs(t, err, events.ErrInvalid)
}

// rig is a vault with its key.
type rig struct {
	vault    *memlog.Vault
	signer   note.Signer
	verifier note.Verifier
}

func newRig(t require.TestingT) *rig {
	skey, vkey, err := audit.NewKey()
	require.NoError(t, err)
	signer, err := note.NewSigner(skey)
	require.NoError(t, err)
	verifier, err := audit.ParseVerifier(vkey)
	require.NoError(t, err)
	return &rig{vault: memlog.NewVault(), signer: signer, verifier: verifier}
}

func (r *rig) open(ctx context.Context) (*audit.Store, error) {
	return audit.OpenStore(ctx, r.vault, r.signer, r.verifier, "log 1")
}

func (r *rig) grow(t require.TestingT, s *audit.Store, to int64) audit.Checkpoint {
	for s.Tree.Size() < to {
		s.Tree.Append(leaf(s.Tree.Size()))
	}
	require.NoError(t, s.Sign(context.Background()))
	signed, err := audit.Newest(context.Background(), r.vault)
	require.NoError(t, err)
	c, err := audit.Open(signed, r.verifier)
	require.NoError(t, err)
	require.Equal(t, to, c.Size)
	return c
}

func TestEveryCheckpointProvesEveryEventAndEveryEarlierCheckpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		ctx := context.Background()
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 600), 1, 4).Draw(t, "steps")
		var size int64
		var old []audit.Checkpoint
		for _, step := range sizes {
			store, err := r.open(ctx) // each time a new process
			require.NoError(t, err)
			size += step
			now := r.grow(t, store, size)
			sequence := rapid.Int64Range(1, size).Draw(t, "sequence")
			proof, hash, err := audit.Prove(ctx, r.vault, now, uint64(sequence))
			require.NoError(t, err)
			require.Equal(t, leaf(sequence-1), hash)
			require.NoError(t, audit.CheckInclusion(now, uint64(sequence), hash, proof))
			require.Error(t, audit.CheckInclusion(now, uint64(sequence), leaf(size), proof))
			for _, before := range old {
				root, proof, err := audit.Head(ctx, r.vault, now, before.Size)
				require.NoError(t, err)
				require.Equal(t, before.Root, root)
				require.NoError(t, audit.CheckConsistency(before, now, proof))
				forged := before
				forged.Root[0] ^= 1
				require.Error(t, audit.CheckConsistency(forged, now, proof))
			}
			at := rapid.Int64Range(0, size).Draw(t, "peaks at")
			peaks, err := audit.PeaksAt(ctx, r.vault, now, at)
			require.NoError(t, err)
			compact, err := audit.Resume(at, peaks)
			require.NoError(t, err)
			require.NoError(t, audit.Leaves(ctx, r.vault, now, at, func(i int64, h tlog.Hash) error {
				require.Equal(t, leaf(i), h)
				compact.Append(h)
				return nil
			}))
			require.Equal(t, now.Root, compact.Root())
			old = append(old, now)
		}
	})
}

func TestTwoWritersNeverSignTreesThatDiffer(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	one, err := r.open(ctx)
	require.NoError(t, err)
	two, err := r.open(ctx)
	require.NoError(t, err)
	r.grow(t, one, 300)
	// The same log read by another: it meets the first's work and yields.
	for i := range int64(290) {
		two.Tree.Append(leaf(i))
	}
	require.ErrorIs(t, two.Sign(ctx), events.ErrConflict)
	two, err = r.open(ctx)
	require.NoError(t, err)
	r.grow(t, two, 301)
	one.Tree.Append(leaf(300))
	require.ErrorIs(t, one.Sign(ctx), events.ErrConflict)

	// Another log: what it gives is not what is there.
	other, err := r.open(ctx)
	require.NoError(t, err)
	r.grow(t, two, 310)
	for i := range int64(5) {
		other.Tree.Append(leaf(1000 + i))
	}
	require.ErrorIs(t, other.Sign(ctx), audit.ErrForked)
}

func TestAWriterThatDiedBetweenTilesAndCheckpointIsTakenUp(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	first, err := r.open(ctx)
	require.NoError(t, err)
	r.grow(t, first, 100)
	dying, err := audit.OpenStore(ctx, failing{r.vault}, r.signer, r.verifier, "log 1")
	require.NoError(t, err)
	for i := int64(100); i < 700; i++ {
		dying.Tree.Append(leaf(i))
	}
	require.ErrorIs(t, dying.Sign(ctx), events.ErrUnavailable)
	next, err := r.open(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 100, next.Tree.Size())
	c := r.grow(t, next, 650)
	proof, hash, err := audit.Prove(ctx, r.vault, c, 640)
	require.NoError(t, err)
	require.NoError(t, audit.CheckInclusion(c, 640, hash, proof))
}

// failing stores everything but checkpoints.
type failing struct{ events.Vault }

func (f failing) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if key == "checkpoint" {
		return 0, events.ErrUnavailable
	}
	return f.Vault.Put(ctx, key, value, revision)
}

func TestAStoreThatWasTamperedWithIsNotGoneOnFrom(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	s, err := r.open(ctx)
	require.NoError(t, err)
	r.grow(t, s, 300)
	_, err = audit.OpenStore(ctx, r.vault, r.signer, r.verifier, "log 2")
	require.ErrorIs(t, err, audit.ErrForked, "another log")
	tile, revision, err := r.vault.Get(ctx, "tile.0.1")
	require.NoError(t, err)
	tile[5] ^= 1
	_, err = r.vault.Put(ctx, "tile.0.1", tile, revision)
	require.NoError(t, err)
	_, err = r.open(ctx)
	require.ErrorIs(t, err, audit.ErrForked, "another hash")
	other := newRig(t)
	other.vault = r.vault
	_, err = other.open(ctx)
	require.ErrorIs(t, err, audit.ErrForked, "another key")
}

func TestCheckpointsAreReadStrictly(t *testing.T) {
	r := newRig(t)
	c := audit.Checkpoint{Origin: r.signer.Name(), Size: 12, Root: leaf(1)}
	signed, err := c.Sign(r.signer)
	require.NoError(t, err)
	got, err := audit.Open(signed, r.verifier)
	require.NoError(t, err)
	require.Equal(t, c, got)
	got, err = audit.Read(signed)
	require.NoError(t, err)
	require.Equal(t, c, got)
	_, err = audit.Open(signed, newRig(t).verifier)
	require.ErrorIs(t, err, events.ErrInvalid)
	for _, text := range []string{"", "x", "x\n1\n\n", "\n1\nAAAA\n\n— s\n", "o\n-1\n" + c.Root.String() + "\n\n", "o\n01\n" + c.Root.String() + "\n\n", "o\n1\nAAAA\n\n"} {
		_, err := audit.Read([]byte(text))
		require.ErrorIs(t, err, events.ErrInvalid, text)
	}
	_, err = audit.ParseVerifier("nonsense")
	require.ErrorIs(t, err, events.ErrInvalid)
}

func TestTheKeyOnDiskGivesBothHalves(t *testing.T) {
	skey, vkey, err := audit.NewKey()
	require.NoError(t, err)
	public, err := audit.PublicKey(skey)
	require.NoError(t, err)
	require.Equal(t, vkey, public)
	file := filepath.Join(t.TempDir(), "auditor.key")
	require.NoError(t, os.WriteFile(file, []byte(skey+"\n"), 0o600))
	signer, verifier, err := audit.LoadKey(file)
	require.NoError(t, err)
	signed, err := audit.Checkpoint{Origin: signer.Name(), Size: 1}.Sign(signer)
	require.NoError(t, err)
	_, err = audit.Open(signed, verifier)
	require.NoError(t, err)
	_, err = audit.PublicKey("PRIVATE+KEY+x")
	require.ErrorIs(t, err, events.ErrInvalid)
}
