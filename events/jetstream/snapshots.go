package jetstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rutter-run/rutter/events"
)

// Snapshots implements [events.Snapshots] on the object store SNAPSHOTS, whose objects `nats object` can list as well. It asks
// the stream's leader for everything: a replica that is a moment behind would hide what was just written.
type Snapshots struct{ client *Client }

var _ events.Snapshots = (*Snapshots)(nil)

// Snapshots keeps states of projections.
func (c *Client) Snapshots() *Snapshots { return &Snapshots{client: c} }

const (
	snapshotStream = "OBJ_" + BucketSnapshots
	snapshotMeta   = "$O." + BucketSnapshots + ".M."
	snapshotChunks = "$O." + BucketSnapshots + ".C."
	// snapshotChunk is how much of a snapshot goes into one message; the leader gives it out in base64, below the usual limit of 1 MiB.
	snapshotChunk = 256 << 10
	// snapshotKey is where the description stands in an object's metadata.
	snapshotKey = "snapshot"
)

func snapshotSubject(name string) string {
	return snapshotMeta + base64.URLEncoding.EncodeToString([]byte(name)) // as object stores have it
}

// Put implements events.Snapshots.
func (s *Snapshots) Put(ctx context.Context, info events.SnapshotInfo, data []byte) error {
	info.Size = len(data)
	description, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("put snapshot %s: %w", info.Name(), err)
	}
	// One of the same name goes first: its data would be left behind.
	if err := s.Delete(ctx, info); err != nil {
		return fmt.Errorf("put snapshot %s: %w", info.Name(), err)
	}
	object := js.ObjectInfo{
		ObjectMeta: js.ObjectMeta{
			Name: info.Name(), Description: fmt.Sprintf("State at sequence %d", info.Sequence),
			Metadata: map[string]string{snapshotKey: string(description)}, Opts: &js.ObjectMetaOptions{ChunkSize: snapshotChunk},
		},
		Bucket: BucketSnapshots, NUID: nuid.Next(), Size: uint64(len(data)), Digest: objectDigest(data),
	}
	if err := s.put(ctx, object, data); err != nil {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.client.wait)
		defer cancel()
		_ = s.purge(after, snapshotChunks+object.NUID) // what cannot be removed is never found, and only takes room
		return fmt.Errorf("put snapshot %s: %w", info.Name(), err)
	}
	return nil
}

// put stores an object's data and then, so that nobody finds half of it, its description.
func (s *Snapshots) put(ctx context.Context, object js.ObjectInfo, data []byte) error {
	for chunk := range slices.Chunk(data, snapshotChunk) {
		if err := s.publish(ctx, &nats.Msg{Subject: snapshotChunks + object.NUID, Data: chunk}); err != nil {
			return err
		}
		object.Chunks++
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	header := nats.Header{js.MsgRollup: {js.MsgRollupSubject}} // as object stores do: the newest description is the only one
	return s.publish(ctx, &nats.Msg{Subject: snapshotSubject(object.Name), Header: header, Data: body})
}

func (s *Snapshots) publish(ctx context.Context, msg *nats.Msg) error {
	_, err := s.client.Log().publish(ctx, []*nats.Msg{msg})
	return err
}

func (s *Snapshots) purge(ctx context.Context, filter string) error {
	request := struct {
		Filter string `json:"filter"`
	}{filter}
	return s.client.api(ctx, "STREAM.PURGE."+snapshotStream, request, nil)
}

// List implements events.Snapshots.
func (s *Snapshots) List(ctx context.Context) ([]events.SnapshotInfo, error) {
	request := struct {
		Filter string `json:"subjects_filter"`
	}{snapshotMeta + ">"}
	var response js.StreamInfo
	if err := s.client.api(ctx, "STREAM.INFO."+snapshotStream, request, &response); err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	all := make([]events.SnapshotInfo, 0, len(response.State.Subjects))
	for subject := range response.State.Subjects {
		_, info, err := s.meta(ctx, subject)
		switch {
		case errors.Is(err, events.ErrNotFound): // deleted since
		case err != nil:
			return nil, fmt.Errorf("list snapshots: %w", err)
		default:
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b events.SnapshotInfo) int {
		return cmp.Or(cmp.Compare(b.Sequence, a.Sequence), cmp.Compare(b.Version, a.Version), cmp.Compare(a.Hash, b.Hash))
	})
	return all, nil
}

// meta reads what is said about an object. One that was deleted, or is not a snapshot of ours, is [events.ErrNotFound].
func (s *Snapshots) meta(ctx context.Context, subject string) (js.ObjectInfo, events.SnapshotInfo, error) {
	var object js.ObjectInfo
	var info events.SnapshotInfo
	msg, err := s.client.leaderMessage(ctx, snapshotStream, lastFor{subject})
	if err != nil {
		return object, info, err
	}
	if json.Unmarshal(msg.data, &object) != nil || object.Deleted || json.Unmarshal([]byte(object.Metadata[snapshotKey]), &info) != nil {
		return object, info, events.ErrNotFound
	}
	return object, info, nil
}

// objectDigest is the digest of an object as its description has it.
func objectDigest(data []byte) string {
	h := sha256.New()
	h.Write(data)
	return js.GetObjectDigestValue(h)
}

// Get implements events.Snapshots.
func (s *Snapshots) Get(ctx context.Context, info events.SnapshotInfo) ([]byte, error) {
	object, _, err := s.meta(ctx, snapshotSubject(info.Name()))
	if err != nil {
		return nil, fmt.Errorf("get snapshot %s: %w", info.Name(), err)
	}
	data := make([]byte, 0, object.Size)
	next := nextFor{Subject: snapshotChunks + object.NUID, Sequence: 1}
	for range object.Chunks {
		msg, err := s.client.leaderMessage(ctx, snapshotStream, next)
		if err != nil {
			return nil, fmt.Errorf("get snapshot %s: %d of %d bytes: %w", info.Name(), len(data), object.Size, err)
		}
		data = append(data, msg.data...)
		next.Sequence = msg.sequence + 1
	}
	if digest := objectDigest(data); uint64(len(data)) != object.Size || digest != object.Digest {
		return nil, fmt.Errorf("get snapshot %s: the store has %d bytes with the digest %s and said %d with %s: %w",
			info.Name(), len(data), digest, object.Size, object.Digest, events.ErrInvalid)
	}
	return data, nil
}

// Delete implements events.Snapshots. Nothing is left of the object, not even a marker.
func (s *Snapshots) Delete(ctx context.Context, info events.SnapshotInfo) error {
	subject := snapshotSubject(info.Name())
	msg, err := s.client.leaderMessage(ctx, snapshotStream, lastFor{subject})
	if errors.Is(err, events.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", info.Name(), err)
	}
	var object js.ObjectInfo
	gone := []string{subject} // first, so that nobody finds an object without its data
	if json.Unmarshal(msg.data, &object) == nil && object.NUID != "" && !strings.ContainsAny(object.NUID, ".*> ") {
		gone = append(gone, snapshotChunks+object.NUID)
	}
	for _, filter := range gone {
		if err := s.purge(ctx, filter); err != nil {
			return fmt.Errorf("delete snapshot %s: %w", info.Name(), err)
		}
	}
	return nil
}
