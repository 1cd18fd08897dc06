package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
)

const (
	// Version is that of the format.
	Version = 1
	// BlockEvents is how many events one seal covers at most.
	BlockEvents = 256
	// frameEvents is how many events one zstd frame holds at most: a multiple of BlockEvents.
	frameEvents = 16 * BlockEvents
	// shortHash is how many bytes of a leaf's hash stand in a seal.
	shortHash = 8
	// fullFrame is how many bytes of content end a frame earlier.
	fullFrame = 16 << 20
	// maxLine bounds a line, and with it what a hostile file can make a reader hold: NATS carries no message that would make a longer one.
	maxLine = 16 << 20
)

// Header is an export's first line.
type Header struct {
	Version     int         `json:"rutterExport"`
	Log         string      `json:"log"`                   // identity of the log that it was taken from
	First       uint64      `json:"first"`                 // sequence of the first event
	Last        uint64      `json:"last"`                  // of the last; below First where there is none
	Peaks       []tlog.Hash `json:"peaks,omitempty"`       // of the tree of the events before the first
	Checkpoint  string      `json:"checkpoint,omitempty"`  // newest signed checkpoint when it was taken
	Consistency []tlog.Hash `json:"consistency,omitempty"` // proof that the checkpoint's tree adds to that of the events up to the last
}

// Validate reports what cannot be.
func (h Header) Validate() error {
	switch {
	case h.Version != Version:
		return fmt.Errorf("export of format %d: this program reads format %d: %w", h.Version, Version, events.ErrInvalid)
	case h.First == 0 || h.Last+1 < h.First:
		return fmt.Errorf("export of events %d to %d: want a first of at least 1 and a last not before it: %w", h.First, h.Last, events.ErrInvalid)
	}
	return nil
}

// Events is how many events the header promises.
func (h Header) Events() uint64 { return h.Last + 1 - h.First }

// The lines that are no events begin like this; no event's line does, for no attribute has such a name.
const (
	headerStart = `{"rutterExport":`
	sealStart   = `{"seal":`
	endStart    = `{"end":`
)

// seal is the line after a block of events.
type seal struct {
	Seal struct {
		Last   uint64 `json:"last"`
		Hashes string `json:"hashes"` // the first 8 bytes of each event's leaf hash, in base64
	} `json:"seal"`
}

// end is the last line.
type end struct {
	End struct {
		Last   uint64 `json:"last"`
		Root   string `json:"root"`   // of the tree of the events up to the last
		SHA256 string `json:"sha256"` // of all lines before
	} `json:"end"`
}

// encode is a line of the format; its types always encode.
func encode(v any) []byte {
	line, _ := json.Marshal(v)
	return append(line, '\n')
}

// decode reads a line that encode has written, byte for byte.
func decode(line []byte, v any) error {
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%w: %w", events.ErrInvalid, err)
	}
	if again := encode(v); string(again[:len(again)-1]) != string(line) {
		return fmt.Errorf("it is not in its canonical form: %w", events.ErrInvalid)
	}
	return nil
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
