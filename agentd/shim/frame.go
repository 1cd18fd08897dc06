package shim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A conversation on the socket is one request, for exec the process's bytes in both directions, and one answer.
// All of it is frames: a kind, four bytes of length and the payload.
const (
	frameRequest byte = 'R'
	frameAnswer  byte = 'A'
	frameStdin   byte = 'i'
	frameClose   byte = 'c' // end of stdin
	frameResize  byte = 'w'
	frameStdout  byte = 'o'
	frameStderr  byte = 'e'
)

// maxFrame bounds what a broken peer can make us allocate; a request carries a whole process specification.
const maxFrame = 4 << 20

type verb string

const (
	verbStart verb = "start"
	verbWait  verb = "wait"
	verbKill  verb = "kill"
	verbQuit  verb = "quit" // end a shim whose container was never started
	verbExec  verb = "exec"
)

type request struct {
	Verb   verb
	Signal int            `json:",omitempty"`
	Exec   *specs.Process `json:",omitempty"`
}

type answer struct {
	Start      *Start `json:",omitempty"`
	Exit       *Exit  `json:",omitempty"`
	NotRunning bool   `json:",omitempty"`
	Runtime    string `json:",omitempty"` // the OCI runtime's own message
	Error      string `json:",omitempty"`
}

// wire reads and writes frames; writers may be many.
type wire struct {
	conn net.Conn
	mu   sync.Mutex
}

func (w *wire) write(kind byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	buffers := net.Buffers{head[:], payload}
	_, err := buffers.WriteTo(w.conn)
	return err
}

// hungUp reports whether the other side has closed the connection, whatever of it is still to be read.
func (w *wire) hungUp() (gone bool) {
	conn, ok := w.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(polled, 0)
		gone = err == nil && n > 0 && polled[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}

func (w *wire) writeJSON(kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.write(kind, data)
}

func (w *wire) read() (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.conn, payload)
	return head[0], payload, err
}

func resizePayload(width, height uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, width)
	return binary.BigEndian.AppendUint16(b, height)
}
