package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/natsconn"
)

// Prefix heads the subjects of streams.
const Prefix = "rpc."

const (
	// Window is how many chunks may be under way without an acknowledgement.
	Window = 64
	// MaxChunk is how many bytes one chunk holds at most.
	MaxChunk = 32 << 10
)

// Timing is how a side notices that the other is gone.
type Timing struct {
	Ping    time.Duration // between two signs of life
	Silence time.Duration // after which the other side is taken for gone
}

// DefaultTiming bears the failover of a NATS server.
var DefaultTiming = Timing{Ping: 10 * time.Second, Silence: 35 * time.Second}

// The verbs.
const (
	verbLogs  = "logs"
	verbExec  = "exec"
	verbStats = "stats"
)

// The headers of a message.
const (
	headerStream  = "Rutter-Stream"  // what the message is
	headerInput   = "Rutter-Input"   // of ready: the subject that the caller speaks to
	headerError   = "Rutter-Error"   // of error: its kind
	headerTime    = "Rutter-Time"    // of log: when the line was written
	headerLog     = "Rutter-Log"     // of log: stdout or stderr
	headerPartial = "Rutter-Partial" // of log: the line goes on
)

// What a message is; see the package's comment.
const (
	streamReady  = "ready"
	streamStdout = "stdout"
	streamStderr = "stderr"
	streamLog    = "log"
	streamStats  = "stats"
	streamAck    = "ack"
	streamPing   = "ping"
	streamExit   = "exit"
	streamError  = "error"
	streamStdin  = "stdin"
	streamClose  = "close"
	streamResize = "resize"
	streamCancel = "cancel"
)

// Answers is where a node's agent answers gateways: a part of the gateways' inbox that is the node's alone. It may publish nowhere else.
func Answers(node string) string {
	return natsconn.InboxPrefix(events.ServiceGateway) + "." + strings.TrimSuffix(Prefix, ".") + "." + node
}

func verbSubject(node, verb string) string { return Prefix + node + "." + verb }

func inputSubject(node, session string) string { return Prefix + node + ".in." + session }

func message(subject, stream string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{headerStream: {stream}}, Data: data}
}

func ackMessage(subject string, chunks int) *nats.Msg {
	return message(subject, streamAck, []byte(strconv.Itoa(chunks)))
}

func errorMessage(subject string, err error) *nats.Msg {
	m := message(subject, streamError, []byte(err.Error()))
	if name := events.ErrorName(err); name != "" {
		m.Header.Set(headerError, name)
	}
	return m
}

// failure is an error of a stream, or of the other side, in its own words; is tells what it is without repeating that error's text.
type failure struct {
	text string
	is   error // nil: none that both sides know
}

func errorIn(m *nats.Msg) error {
	return &failure{text: string(m.Data), is: events.ErrorNamed(m.Header.Get(headerError))}
}

func fail(is error, format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), is: is}
}

// Error implements error.
func (e *failure) Error() string { return e.text }

// Unwrap implements errors.Unwrap.
func (e *failure) Unwrap() error { return e.is }
