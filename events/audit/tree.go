package audit

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Leaf is the hash of an event's leaf: SHA-256 of a zero byte and the event's canonical line.
func Leaf(r events.Record) tlog.Hash { return tlog.RecordHash(cloudevent.AppendLine(nil, r)) }

// tileHeight is that of C2SP tlog-tiles: 256 hashes in a full tile.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// TileName names a tile: the level counts tiles from the leaves, the index those of a level from the left.
type TileName struct {
	Level int
	Index int64
}

// Key is the tile's key in a vault.
func (n TileName) Key() string { return fmt.Sprintf("tile.%d.%d", n.Level, n.Index) }

// Tree is the right edge of a Merkle tree: enough to add leaves and to say its root. The zero Tree is empty.
type Tree struct {
	size int64
	edge [][]tlog.Hash       // by level: the hashes of the tile that is not full yet
	full map[TileName][]byte // tiles that have become full and are not stored yet
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf.
func (t *Tree) Append(leaf tlog.Hash) {
	t.size++
	for level, h := 0, leaf; ; level++ {
		if level == len(t.edge) {
			t.edge = append(t.edge, make([]tlog.Hash, 0, tileWidth))
		}
		t.edge[level] = append(t.edge[level], h)
		if len(t.edge[level]) < tileWidth {
			return
		}
		if t.full == nil {
			t.full = map[TileName][]byte{}
		}
		t.full[TileName{level, t.size>>(tileHeight*(level+1)) - 1}] = join(t.edge[level])
		h = subtree(t.edge[level])
		t.edge[level] = t.edge[level][:0]
	}
}

// Root is the hash of the whole tree.
func (t *Tree) Root() tlog.Hash {
	peaks := t.Peaks()
	if len(peaks) == 0 {
		root, _ := tlog.TreeHash(0, nil) // of nothing: asks for nothing
		return root
	}
	return rootOf(peaks)
}

// Peaks are the roots of the complete subtrees that the tree is made of, from the left, each smaller than the one before.
func (t *Tree) Peaks() []tlog.Hash {
	var peaks []tlog.Hash
	for _, level := range slices.Backward(t.edge) {
		for rest := level; len(rest) > 0; {
			n := 1
			for n*2 <= len(rest) {
				n *= 2
			}
			peaks = append(peaks, subtree(rest[:n]))
			rest = rest[n:]
		}
	}
	return peaks
}

// growing are the tiles of the right edge, which are not full.
func (t *Tree) growing() map[TileName][]byte {
	tiles := map[TileName][]byte{}
	for level, hashes := range t.edge {
		if len(hashes) > 0 {
			tiles[TileName{level, t.size >> (tileHeight * (level + 1))}] = join(hashes)
		}
	}
	return tiles
}

// rootOf folds peaks from the right.
func rootOf(peaks []tlog.Hash) tlog.Hash {
	root := peaks[len(peaks)-1]
	for _, peak := range slices.Backward(peaks[:len(peaks)-1]) {
		root = tlog.NodeHash(peak, root)
	}
	return root
}

// subtree is the root of a complete subtree: a power of two of hashes.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	level := make([]tlog.Hash, len(hashes)/2)
	for ; len(hashes) > 1; hashes = level {
		level = level[:len(hashes)/2]
		for i := range level {
			level[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
	}
	return hashes[0]
}

func join(hashes []tlog.Hash) []byte {
	out := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		out = append(out, h[:]...)
	}
	return out
}

// split reads the first n hashes of a tile.
func split(tile []byte, n int) ([]tlog.Hash, error) {
	if len(tile) < n*tlog.HashSize {
		return nil, fmt.Errorf("tile of %d hashes, %d wanted: %w", len(tile)/tlog.HashSize, n, events.ErrNotFound)
	}
	hashes := make([]tlog.Hash, n, tileWidth)
	for i := range hashes {
		hashes[i] = tlog.Hash(tile[i*tlog.HashSize:])
	}
	return hashes, nil
}

// Resume makes a tree of a number of leaves from its peaks. It can grow and say its root, but has no tiles left of its edge.
func Resume(size int64, peaks []tlog.Hash) (*Compact, error) {
	want := 0
	for n := size; n > 0; n &= n - 1 {
		want++
	}
	if len(peaks) != want {
		return nil, fmt.Errorf("a tree of %d leaves has %d peaks, not %d: %w", size, want, len(peaks), events.ErrInvalid)
	}
	return &Compact{size: size, peaks: slices.Clone(peaks)}, nil
}

// Compact is a tree that knows its peaks alone: a verifier's. The zero Compact is empty.
type Compact struct {
	size  int64
	peaks []tlog.Hash
}

// Size is the number of leaves.
func (c *Compact) Size() int64 { return c.size }

// Append adds a leaf.
func (c *Compact) Append(leaf tlog.Hash) {
	for n := c.size; n&1 == 1; n >>= 1 {
		leaf = tlog.NodeHash(c.peaks[len(c.peaks)-1], leaf)
		c.peaks = c.peaks[:len(c.peaks)-1]
	}
	c.peaks = append(c.peaks, leaf)
	c.size++
}

// Root is the hash of the whole tree.
func (c *Compact) Root() tlog.Hash {
	if c.size == 0 {
		root, _ := tlog.TreeHash(0, nil)
		return root
	}
	return rootOf(c.peaks)
}
