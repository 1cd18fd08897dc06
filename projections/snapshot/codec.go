package snapshot

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

const (
	// format names the layout: a header in CBOR, then the chunks' bytes, each compressed by itself so that they can be read in parallel.
	format = "rutter-snapshot/1"
	// chunkRows is how many rows are compressed together.
	chunkRows = 1024
	// maxChunk bounds what a chunk may unpack to.
	maxChunk = 1 << 30
)

// header heads a snapshot's data.
type header struct {
	Format string              `cbor:"format"`
	Info   events.SnapshotInfo `cbor:"info"`
	Time   time.Time           `cbor:"time"` // of the last event folded in
	Chunks []chunkHead         `cbor:"chunks"`
}

// chunkHead says where a chunk's bytes end and what is in them.
type chunkHead struct {
	Table string `cbor:"table"`
	Rows  int    `cbor:"rows"`
	Size  int    `cbor:"size"` // compressed
}

var headers = func() cbor.EncMode {
	options := cbor.CoreDetEncOptions()
	options.Time = cbor.TimeRFC3339Nano
	mode, err := options.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// packers compress. One of them is enough: snapshots are written in the background, by one at a time.
var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxChunk))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// Encode is the state as it is kept. info's hash has to be the state's; the same state and info give the same bytes.
func Encode(view *projections.Cluster, info events.SnapshotInfo) ([]byte, error) {
	info.Size = 0
	head := header{Format: format, Info: info, Time: view.Time()}
	var body []byte
	for chunk := range view.Chunks(chunkRows) {
		before := len(body)
		body = packer().EncodeAll(chunk.Data, body)
		head.Chunks = append(head.Chunks, chunkHead{Table: chunk.Table, Rows: chunk.Rows, Size: len(body) - before})
	}
	data, err := headers.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot %s: %w", info.Name(), err)
	}
	return append(data, body...), nil
}

// Decode is the state that was kept. It fails where the data are not what info says, down to the hash of the state.
func Decode(data []byte, info events.SnapshotInfo) (*projections.Cluster, error) {
	view, err := decode(data, info)
	if err != nil {
		return nil, fmt.Errorf("decode snapshot %s: %w: %w", info.Name(), events.ErrInvalid, err)
	}
	return view, nil
}

func decode(data []byte, info events.SnapshotInfo) (*projections.Cluster, error) {
	var head header
	body, err := cbor.UnmarshalFirst(data, &head)
	if err != nil {
		return nil, err
	}
	if head.Format != format {
		return nil, fmt.Errorf("it has the format %q, want %q", head.Format, format)
	}
	info.Size = 0
	if !head.Info.Log.Equal(info.Log) {
		return nil, fmt.Errorf("it is of the log made at %s, want %s", head.Info.Log, info.Log)
	}
	head.Info.Log = info.Log
	if head.Info != info {
		return nil, fmt.Errorf("it says it is %+v, want %+v", head.Info, info)
	}
	if info.Version != projections.Version {
		return nil, fmt.Errorf("it is of projection version %d, want %d", info.Version, projections.Version)
	}
	view, err := unpack(head, body)
	if err != nil {
		return nil, err
	}
	if hash := view.Hash(); hash != info.Hash {
		return nil, fmt.Errorf("its state has the hash %s, want %s", hash, info.Hash)
	}
	return view, nil
}

// unpack decodes the chunks in parallel.
func unpack(head header, body []byte) (*projections.Cluster, error) {
	loader := projections.NewLoader(head.Info.Sequence, head.Time)
	rows := make([]projections.Rows, len(head.Chunks))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n, h := range head.Chunks {
		if h.Size < 0 || h.Size > len(body) {
			_ = group.Wait()
			return nil, fmt.Errorf("it is cut short in chunk %d of %d", n+1, len(head.Chunks))
		}
		packed := body[:h.Size]
		body = body[h.Size:]
		read := func() (err error) {
			raw, err := unpacker().DecodeAll(packed, nil)
			if err != nil {
				return fmt.Errorf("chunk %d of table %s: %w", n+1, h.Table, err)
			}
			rows[n], err = loader.Decode(projections.Chunk{Table: h.Table, Rows: h.Rows, Data: raw})
			return err
		}
		if (projections.Chunk{Table: h.Table}).IsSpecs() {
			// The others refer to these.
			if err := group.Wait(); err != nil {
				return nil, err
			}
			if err := read(); err != nil {
				return nil, err
			}
			loader.Add(rows[n])
			continue
		}
		group.Go(read)
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) > 0 {
		return nil, fmt.Errorf("%d bytes follow its end", len(body))
	}
	for n, h := range head.Chunks {
		if !(projections.Chunk{Table: h.Table}).IsSpecs() {
			loader.Add(rows[n])
		}
	}
	return loader.Cluster(), nil
}
