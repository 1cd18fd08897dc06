package projections

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// Canonical CBOR (CTAP2: sorted keys, shortest forms) is the form in which states are hashed and kept. It follows the structs' json
// tags, not their JSON methods. Times keep their nanoseconds and their offset.
var (
	encoding = func() cbor.UserBufferEncMode {
		options := cbor.CTAP2EncOptions()
		options.Time, options.OmitEmpty = cbor.TimeRFC3339Nano, cbor.OmitEmptyGoValue
		mode, err := options.UserBufferEncMode()
		if err != nil {
			panic(err) // the options are constants
		}
		return mode
	}()
	decoding = func() cbor.DecMode {
		mode, err := cbor.DecOptions{MaxArrayElements: 1 << 30, MaxMapPairs: 1 << 30, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
		if err != nil {
			panic(err) // the options are constants
		}
		return mode
	}()
)

// encode appends a value to the buffer. The values are plain data of this package and of package events: encoding them cannot fail, and a
// test fills every field of theirs and looks.
func encode(into *bytes.Buffer, value any) {
	if err := encoding.MarshalToBuffer(value, into); err != nil {
		panic(err)
	}
}
