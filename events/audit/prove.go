package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
)

// tiles reads tiles of a tree out of a vault, for the tlog library, which checks them against the tree's root.
type tiles struct {
	ctx   context.Context
	vault events.Vault
}

func (t tiles) Height() int { return tileHeight }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(wanted))
	for i, w := range wanted {
		key := TileName{w.L, w.N}.Key()
		data, _, err := t.vault.Get(t.ctx, key)
		if err != nil {
			return nil, err
		}
		// The vault's tile may have grown since.
		if n := w.W * tlog.HashSize; len(data) >= n {
			all[i] = data[:n]
		} else {
			return nil, fmt.Errorf("%s has %d of %d hashes yet: %w", key, len(data)/tlog.HashSize, w.W, events.ErrUnavailable)
		}
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// Reader gives hashes of the tree that a checkpoint is of, each checked against its root.
func Reader(ctx context.Context, vault events.Vault, c Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tiles{ctx, vault})
}

// Prove proves that the event of a sequence stands in the tree of a checkpoint, and says its leaf's hash.
func Prove(ctx context.Context, vault events.Vault, c Checkpoint, sequence uint64) (tlog.RecordProof, tlog.Hash, error) {
	if sequence == 0 || int64(sequence) > c.Size {
		return nil, tlog.Hash{}, fmt.Errorf("event %d: the newest checkpoint covers 1 to %d: %w", sequence, c.Size, events.ErrNotFound)
	}
	reader := Reader(ctx, vault, c)
	proof, err := tlog.ProveRecord(c.Size, int64(sequence)-1, reader)
	if err != nil {
		return nil, tlog.Hash{}, fmt.Errorf("prove event %d in checkpoint %d: %w", sequence, c.Size, err)
	}
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(sequence)-1)})
	if err != nil {
		return nil, tlog.Hash{}, fmt.Errorf("leaf %d of checkpoint %d: %w", sequence, c.Size, err)
	}
	return proof, leaf[0], nil
}

// Head is the root of the tree at a smaller size, and the proof that the checkpoint's tree only adds to it.
func Head(ctx context.Context, vault events.Vault, c Checkpoint, size int64) (tlog.Hash, tlog.TreeProof, error) {
	p, err := ProveBetween(ctx, vault, c, size, c.Size)
	return p.OldRoot, p.Proof, err
}

// Between is the roots of the tree at two sizes, and the proof that the later only adds to the older.
type Between struct {
	OldRoot, NewRoot tlog.Hash
	Proof            tlog.TreeProof
}

// ProveBetween proves one earlier tree of a checkpoint consistent with another.
func ProveBetween(ctx context.Context, vault events.Vault, c Checkpoint, older, later int64) (p Between, err error) {
	if older < 1 || older > later || later > c.Size {
		return p, fmt.Errorf("trees of %d and %d events: the newest checkpoint covers 1 to %d: %w", older, later, c.Size, events.ErrNotFound)
	}
	reader := Reader(ctx, vault, c)
	if p.OldRoot, err = tlog.TreeHash(older, reader); err != nil {
		return p, fmt.Errorf("root at %d: %w", older, err)
	}
	if p.NewRoot, err = tlog.TreeHash(later, reader); err != nil {
		return p, fmt.Errorf("root at %d: %w", later, err)
	}
	if p.Proof, err = tlog.ProveTree(later, older, reader); err != nil {
		return p, fmt.Errorf("prove %d from %d: %w", later, older, err)
	}
	return p, nil
}

// PeaksAt are the peaks of the tree at a smaller size than the checkpoint's: what an export that begins after it needs.
func PeaksAt(ctx context.Context, vault events.Vault, c Checkpoint, size int64) ([]tlog.Hash, error) {
	var indexes []int64
	for at, rest := int64(0), size; rest > 0; {
		level := 0
		for rest>>(level+1) > 0 {
			level++
		}
		indexes = append(indexes, tlog.StoredHashIndex(level, at>>level))
		at, rest = at+1<<level, rest-1<<level
	}
	if len(indexes) == 0 {
		return nil, nil
	}
	peaks, err := Reader(ctx, vault, c).ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("peaks at %d: %w", size, err)
	}
	return peaks, nil
}

// Leaves calls handle with the hash of every leaf of the checkpoint's tree from an index on, in order.
func Leaves(ctx context.Context, vault events.Vault, c Checkpoint, from int64, handle func(index int64, leaf tlog.Hash) error) error {
	reader := Reader(ctx, vault, c)
	for at := from; at < c.Size; {
		n := min(tileWidth-at%tileWidth, c.Size-at)
		indexes := make([]int64, n)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, at+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("leaves from %d of checkpoint %d: %w", at+1, c.Size, err)
		}
		for _, h := range hashes {
			if err := handle(at, h); err != nil {
				return err
			}
			at++
		}
	}
	return nil
}

// CheckInclusion reports whether the proof shows that a leaf is an event of the checkpoint's tree.
func CheckInclusion(c Checkpoint, sequence uint64, leaf tlog.Hash, proof tlog.RecordProof) error {
	if sequence == 0 {
		return errors.New("sequences count from 1")
	}
	return tlog.CheckRecord(proof, c.Size, c.Root, int64(sequence)-1, leaf)
}

// CheckConsistency reports whether the proof shows that the newer tree only adds to the older one.
func CheckConsistency(older, newer Checkpoint, proof tlog.TreeProof) error {
	if older.Origin != newer.Origin {
		return fmt.Errorf("checkpoints of two logs, %s and %s: %w", older.Origin, newer.Origin, events.ErrInvalid)
	}
	return tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root)
}
