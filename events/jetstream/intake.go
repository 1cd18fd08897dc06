package jetstream

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// message is one message of the stream and what its delivery says about it.
type message struct {
	msg      *nats.Msg
	sequence uint64
	stored   time.Time
	pending  uint64
}

// intake takes a push consumer's messages as they come, checks that none is missing, and cuts them into chunks.
type intake struct {
	beat
	ctx  context.Context
	lost context.CancelCauseFunc
	nc   *nats.Conn

	raw       bool        // nothing is to be decoded
	tail      uint64      // sequence from which on nothing is held back to fill a chunk
	delivered uint64      // the consumer's number of the last message
	current   *chunk      // being filled
	ordered   chan *chunk // every chunk, in order
	work      chan *chunk // those that are worth another goroutine
}

const (
	chunkSize   = 128 // messages
	inlineUpTo  = 8   // messages that are decoded where they are handled
	chunksAhead = 64  // under way between the connection and the handler
)

func newIntake(ctx context.Context, lost context.CancelCauseFunc, nc *nats.Conn, tail uint64) *intake {
	return &intake{ctx: ctx, lost: lost, nc: nc, tail: tail, ordered: make(chan *chunk, chunksAhead), work: make(chan *chunk, chunksAhead)}
}

// receive is the subscription's handler.
func (in *intake) receive(msg *nats.Msg) {
	in.heard()
	if msg.Header.Get("Status") != "" && len(msg.Data) == 0 {
		in.control(msg)
		return
	}
	m, delivered, ok := parseDelivery(msg)
	if !ok || delivered != in.delivered+1 {
		in.lost(errLost)
		return
	}
	in.delivered = delivered
	if in.current == nil {
		in.current = newChunk()
	}
	in.current.messages = append(in.current.messages, m)
	if len(in.current.messages) == chunkSize || m.sequence >= in.tail && in.idle(msg.Sub) {
		in.flush()
	}
}

// idle reports whether the subscription holds no further message. The client counts the one that is being received.
func (in *intake) idle(sub *nats.Subscription) bool {
	n, _, err := sub.Pending()
	return err != nil || n <= 1
}

// waiting is at least one where more has arrived than is being handled. It may be short of what the connection still holds, but never says
// that something comes where nothing does.
func (in *intake) waiting() uint64 { return uint64(len(in.ordered)) }

// control answers the server's flow control and compares its count with ours at a heartbeat.
func (in *intake) control(msg *nats.Msg) {
	if last := msg.Header.Get("Nats-Last-Consumer"); last != "" {
		if n, err := strconv.ParseUint(last, 10, 64); err != nil || n != in.delivered {
			in.lost(errLost)
			return
		}
	}
	in.flush()
	reply := msg.Reply
	if reply == "" {
		reply = msg.Header.Get("Nats-Consumer-Stalled")
	}
	if reply != "" {
		_ = in.nc.Publish(reply, nil) // lost with the connection, like all that it would have let through
	}
}

// flush passes the current chunk on, waiting where the handler is behind.
func (in *intake) flush() {
	c := in.current
	if c == nil {
		return
	}
	in.current = nil
	inline := in.raw || len(c.messages) <= inlineUpTo // whoever takes the chunk may give it back at once
	c.inline = inline
	select {
	case in.ordered <- c:
	case <-in.ctx.Done():
		return
	}
	if !inline {
		select {
		case in.work <- c:
		case <-in.ctx.Done():
		}
	}
	in.heard()
}

// parseDelivery reads a consumer's reply subject, which says where in the stream and in the delivery a message stands:
// $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>, in a later form with a
// domain and an account before the stream and a random token at the end.
func parseDelivery(msg *nats.Msg) (m message, delivered uint64, ok bool) {
	const prefix = "$JS.ACK."
	rest, found := strings.CutPrefix(msg.Reply, prefix)
	if !found {
		return m, 0, false
	}
	skip := 3
	if strings.Count(rest, ".") > 6 {
		skip = 5
	}
	for ; skip > 0; skip-- {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return m, 0, false
		}
		rest = rest[i+1:]
	}
	var numbers [4]uint64
	for i := range numbers {
		var n uint64
		j := 0
		for ; j < len(rest) && rest[j] != '.'; j++ {
			if rest[j] < '0' || rest[j] > '9' {
				return m, 0, false
			}
			n = n*10 + uint64(rest[j]-'0')
		}
		if j == 0 || i < 3 && j == len(rest) {
			return m, 0, false
		}
		numbers[i] = n
		if j < len(rest) {
			j++
		}
		rest = rest[j:]
	}
	m = message{msg: msg, sequence: numbers[0], stored: time.Unix(0, int64(numbers[2])).UTC(), pending: numbers[3]}
	return m, numbers[1], true
}
