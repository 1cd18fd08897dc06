package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/rutter-run/rutter/events"
)

// frame is a part of the content, whole lines.
type frame struct {
	content []byte
	err     error // after the content; io.EOF at the end of the file
}

// errCut: the file ends before its end.
var errCut = fmt.Errorf("the file ends too early: %w", events.ErrInvalid)

// source gives the content of a file frame by frame, whichever of its forms it has: the compressed one, or plain lines.
type source struct {
	in      *bufio.Reader
	plain   bool
	decoder *zstd.Decoder
	file    hash.Hash // of the bytes so far
	offset  int64     // of the next byte
	next    uint64    // what the index is to go on with; 0: not known yet
	ended   bool
}

// maxFrame bounds what a frame unpacks to.
const maxFrame = fullFrame + 2*maxLine

func newSource(in io.Reader) (*source, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	s := &source{in: bufio.NewReaderSize(in, 1<<20), decoder: decoder, file: sha256.New()}
	start, err := s.in.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read export: %w", err)
	case len(start) > 0 && start[0] == '{':
		s.plain = true
	case len(start) < 4 || binary.LittleEndian.Uint32(start) != magicIndex:
		return nil, fmt.Errorf("this is no export: want a file that `rutter export` has written, or its content unpacked by zstd -d: %w", events.ErrInvalid)
	}
	return s, nil
}

// read gives the next frame.
func (s *source) read() (content []byte, err error) {
	if s.plain {
		return s.readPlain()
	}
	head, err := s.take(8)
	if errors.Is(err, io.EOF) && s.ended {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	if s.ended {
		return nil, fmt.Errorf("something follows the end of the file: %w", events.ErrInvalid)
	}
	switch magic, length := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]); {
	case magic == magicIndex && length == indexLength:
		return s.readFrame(head)
	case magic == magicDigest && length == sha256.Size:
		return nil, s.readDigest(head)
	default:
		return nil, fmt.Errorf("damaged between two frames, at byte %d: %w", s.offset-8, events.ErrInvalid)
	}
}

// take reads so many bytes.
func (s *source) take(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(s.in, b)
	s.offset += int64(got)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, io.EOF) && got == 0 && s.ended:
		return nil, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errCut
	}
	return nil, fmt.Errorf("read export: %w", err)
}

func (s *source) readFrame(head []byte) ([]byte, error) {
	index, err := s.take(indexLength)
	if err != nil {
		return nil, err
	}
	first, count, length := binary.LittleEndian.Uint64(index), binary.LittleEndian.Uint32(index[8:]), binary.LittleEndian.Uint64(index[12:])
	if s.next != 0 && first != s.next || count > frameEvents || length > maxFrame {
		return nil, fmt.Errorf("damaged index before the frame of event %d: %w", s.next, events.ErrInvalid)
	}
	s.next = first + uint64(count)
	compressed := new(bytes.Buffer) // grows with what is there, whatever the index says
	got, err := io.CopyN(compressed, s.in, int64(length))
	s.offset += got
	if errors.Is(err, io.EOF) {
		return nil, errCut
	}
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	s.file.Write(head)
	s.file.Write(index)
	s.file.Write(compressed.Bytes())
	content, err := s.decoder.DecodeAll(compressed.Bytes(), nil)
	if err != nil {
		return nil, &Fault{Sequence: first, What: fmt.Sprintf("the frame of events %d to %d cannot be unpacked: %v", first, s.next-1, err)}
	}
	return content, nil
}

func (s *source) readDigest(head []byte) error {
	digest, err := s.take(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(digest, s.file.Sum(nil)) {
		return fmt.Errorf("the file's hash is not the one at its end: some byte of its packing was changed: %w", events.ErrInvalid)
	}
	s.ended = true
	return nil
}

// plainFrame is how much of a plain file is read at once.
const plainFrame = 4 << 20

// readPlain gives whole lines of an unpacked file.
func (s *source) readPlain() ([]byte, error) {
	var content []byte
	for len(content) < plainFrame {
		line, err := s.in.ReadSlice('\n')
		content = append(content, line...)
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull) && len(content) <= maxLine+plainFrame:
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("a line of more than %d bytes: %w", maxLine, events.ErrInvalid)
		case errors.Is(err, io.EOF) && len(content) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return content, nil
		default:
			return nil, fmt.Errorf("read export: %w", err)
		}
	}
	// Never end within a line.
	for content[len(content)-1] != '\n' {
		line, err := s.in.ReadSlice('\n')
		content = append(content, line...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) || len(content) > maxLine+plainFrame {
			break
		}
	}
	return content, nil
}
