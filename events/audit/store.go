package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
)

// The keys of a vault beside tiles.
const (
	keyCheckpoint = "checkpoint" // the newest signed note
	keyLog        = "log"        // identity of the log that it is of
	keyAlarm      = "alarm"      // why nothing more is signed; empty: nothing
)

// ErrForked: the log, or what is kept of its tree, is not what was signed.
var ErrForked = errors.New("the log is not the one that was signed")

// Newest is the newest signed checkpoint, [events.ErrNotFound] where none was signed yet.
func Newest(ctx context.Context, vault events.Vault) ([]byte, error) {
	signed, _, err := vault.Get(ctx, keyCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("newest checkpoint: %w", err)
	}
	return signed, nil
}

// Alarm is why the auditor has stopped to sign; empty where it has not.
func Alarm(ctx context.Context, vault events.Vault) (string, error) {
	text, _, err := vault.Get(ctx, keyAlarm)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		return "", fmt.Errorf("the auditor's alarm: %w", err)
	}
	return string(text), nil
}

// SetAlarm puts down why nothing more is signed, or with an empty text that it is again.
func SetAlarm(ctx context.Context, vault events.Vault, why string) error {
	text, revision, err := vault.Get(ctx, keyAlarm)
	if err != nil && !errors.Is(err, events.ErrNotFound) || string(text) == why {
		return err
	}
	_, err = vault.Put(ctx, keyAlarm, []byte(why), revision)
	return err
}

// Store is the tree in a vault, for its one writer. A second writer collides with the first in the vault's revisions, and since both only ever add to
// what is there, no two trees that differ are signed from one vault.
type Store struct {
	vault     events.Vault
	signer    note.Signer
	verifier  note.Verifier
	revisions map[string]uint64 // of what may be written again

	Tree   *Tree
	Signed Checkpoint // the newest
	Note   []byte
}

// OpenStore takes up the tree where the newest checkpoint left it. log is the identity of the log to be read on; a tree of another log fails with
// [ErrForked], as does one whose tiles do not give the root that was signed.
func OpenStore(ctx context.Context, vault events.Vault, signer note.Signer, verifier note.Verifier, log string) (*Store, error) {
	s := &Store{vault: vault, signer: signer, verifier: verifier, revisions: map[string]uint64{}, Tree: &Tree{}, Signed: Checkpoint{Origin: signer.Name()}}
	known, revision, err := vault.Get(ctx, keyLog)
	switch {
	case errors.Is(err, events.ErrNotFound):
		if _, err := vault.Put(ctx, keyLog, []byte(log), revision); err != nil {
			return nil, fmt.Errorf("open the tree: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("open the tree: %w", err)
	case string(known) != log:
		return nil, fmt.Errorf("the tree is of the log made at %s and this one was made at %s: %w", known, log, ErrForked)
	}
	signed, revision, err := vault.Get(ctx, keyCheckpoint)
	if errors.Is(err, events.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the tree: %w", err)
	}
	if s.Signed, err = Open(signed, verifier); err != nil {
		return nil, fmt.Errorf("open the tree: %w: %w", ErrForked, err)
	}
	s.Note, s.revisions[keyCheckpoint] = signed, revision
	return s, s.load(ctx)
}

// load reads the right edge.
func (s *Store) load(ctx context.Context) error {
	s.Tree = &Tree{size: s.Signed.Size}
	for level := 0; s.Signed.Size>>(tileHeight*level) > 0; level++ {
		name := TileName{level, s.Signed.Size >> (tileHeight * (level + 1))}
		n := int(s.Signed.Size>>(tileHeight*level)) % tileWidth
		hashes := make([]tlog.Hash, 0, tileWidth)
		if n > 0 {
			data, revision, err := s.vault.Get(ctx, name.Key())
			if err == nil {
				hashes, err = split(data, n)
			}
			if err != nil {
				return fmt.Errorf("open the tree: %s: %w", name.Key(), err)
			}
			s.revisions[name.Key()] = revision
		}
		s.Tree.edge = append(s.Tree.edge, hashes)
	}
	if root := s.Tree.Root(); root != s.Signed.Root {
		return fmt.Errorf("the tiles give the root %s at %d and %s was signed: %w", root, s.Signed.Size, s.Signed.Root, ErrForked)
	}
	return nil
}

// Sign stores what has been added to the tree since the last time, then signs and stores its checkpoint. It fails with [events.ErrConflict] where
// another writer was faster: open the store again.
func (s *Store) Sign(ctx context.Context) error {
	if s.Tree.size == s.Signed.Size && s.Note != nil {
		return nil
	}
	tiles := s.Tree.growing()
	maps.Copy(tiles, s.Tree.full)
	for _, name := range slices.SortedFunc(maps.Keys(tiles), func(a, b TileName) int {
		if a.Level != b.Level {
			return a.Level - b.Level
		}
		return int(a.Index - b.Index)
	}) {
		if err := s.put(ctx, name.Key(), tiles[name]); err != nil {
			return err
		}
		if _, full := s.Tree.full[name]; full {
			delete(s.revisions, name.Key()) // it never changes again
			delete(s.Tree.full, name)
		}
	}
	c := Checkpoint{Origin: s.signer.Name(), Size: s.Tree.size, Root: s.Tree.Root()}
	signed, err := c.Sign(s.signer)
	if err != nil {
		return err
	}
	revision, err := s.vault.Put(ctx, keyCheckpoint, signed, s.revisions[keyCheckpoint])
	if err != nil {
		return fmt.Errorf("store checkpoint %d: %w", c.Size, err)
	}
	s.revisions[keyCheckpoint], s.Signed, s.Note = revision, c, signed
	return nil
}

// put stores a tile. What another writer, or this one before it was killed, has put there must be the same as far as both go.
func (s *Store) put(ctx context.Context, key string, tile []byte) error {
	revision, err := s.vault.Put(ctx, key, tile, s.revisions[key])
	if errors.Is(err, events.ErrConflict) {
		there, at, getErr := s.vault.Get(ctx, key)
		switch {
		case getErr != nil:
			return fmt.Errorf("store %s: %w", key, errors.Join(err, getErr))
		case !bytes.HasPrefix(there, tile) && !bytes.HasPrefix(tile, there):
			return fmt.Errorf("%s holds other hashes than the log gives now: %w", key, ErrForked)
		case len(there) >= len(tile):
			s.revisions[key] = at
			return nil
		}
		revision, err = s.vault.Put(ctx, key, tile, at)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	s.revisions[key] = revision
	return nil
}
