package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/rutter-run/rutter/events"
)

// Caller reaches agents. It may be used by several goroutines.
type Caller struct {
	nc     *nats.Conn
	timing Timing
}

// NewCaller makes a caller on a connection, whose inbox prefix its answers come to.
func NewCaller(nc *nats.Conn) *Caller { return NewCallerTimed(nc, DefaultTiming) }

// NewCallerTimed is [NewCaller] with another timing.
func NewCallerTimed(nc *nats.Conn, timing Timing) *Caller { return &Caller{nc: nc, timing: timing} }

// Logs calls emit for each line until the log ends, emit fails or ctx is done.
func (c *Caller) Logs(ctx context.Context, node string, request LogsRequest, emit func(LogLine) error) error {
	_, err := c.call(ctx, node, verbLogs, request, ExecStreams{}, func(m *nats.Msg) error {
		line := LogLine{Stream: m.Header.Get(headerLog), Partial: m.Header.Get(headerPartial) != "", Text: m.Data}
		if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime)); err == nil {
			line.Time = at
		}
		return emit(line)
	})
	return err
}

// Exec runs a process and returns its exit code.
func (c *Caller) Exec(ctx context.Context, node string, request ExecRequest, streams ExecStreams) (int, error) {
	request.Stdin = streams.Stdin != nil
	return c.call(ctx, node, verbExec, request, streams, func(m *nats.Msg) error {
		out := streams.Stdout
		if m.Header.Get(headerStream) == streamStderr {
			out = streams.Stderr
		}
		if out == nil {
			return nil
		}
		_, err := out.Write(m.Data)
		return err
	})
}

// Stats is what an instance uses now.
func (c *Caller) Stats(ctx context.Context, node string, request StatsRequest) (all []ContainerStats, err error) {
	_, err = c.call(ctx, node, verbStats, request, ExecStreams{}, func(m *nats.Msg) error { return json.Unmarshal(m.Data, &all) })
	return all, err
}

// call makes a request and hands each chunk of its answer to take, until the stream ends with an exit code or an error.
func (c *Caller) call(ctx context.Context, node, verb string, request any, streams ExecStreams, take func(*nats.Msg) error) (code int, err error) {
	data, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("encode the request: %w", err)
	}
	inbox := Answers(node) + "." + nuid.Next()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, fail(events.ErrUnavailable, "listen for node %s: %v", node, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone, and the subscription with it
	if err := c.nc.PublishMsg(&nats.Msg{Subject: verbSubject(node, verb), Reply: inbox, Data: data}); err != nil {
		return 0, fail(events.ErrUnavailable, "ask node %s: %v", node, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &answer{caller: c, node: node, sub: sub, streams: streams, take: take}
	code, err = a.run(ctx)
	if a.input != "" && !a.over {
		_ = c.nc.PublishMsg(message(a.input, streamCancel, nil)) // unheard, the agent's own clock ends it
	}
	return code, err
}

// answer is one stream, on the caller's side.
type answer struct {
	caller  *Caller
	node    string
	sub     *nats.Subscription
	streams ExecStreams
	take    func(*nats.Msg) error

	input   string // subject that the agent listens on, once it has said so
	typed   window
	unacked int
	over    bool // the agent has ended it
}

func (a *answer) run(ctx context.Context) (int, error) {
	for {
		m, err := a.next(ctx)
		if err != nil {
			return 0, err
		}
		if m.Subject != a.sub.Subject {
			continue // steered here by somebody's consumer
		}
		switch stream := m.Header.Get(headerStream); stream {
		case streamReady:
			session, ours := strings.CutPrefix(m.Header.Get(headerInput), inputSubject(a.node, ""))
			if a.input != "" || !ours || session == "" || strings.ContainsAny(session, ".*> \t\r\n") {
				return 0, fmt.Errorf("node %s answers out of turn", a.node)
			}
			a.input = m.Header.Get(headerInput)
			go a.pulse(ctx)
			if a.streams.Stdin != nil {
				go a.sendInput(ctx)
			}
			if a.streams.Resize != nil {
				go a.sendSizes(ctx)
			}
		case streamAck:
			a.typed.acknowledged(m)
		case streamExit:
			a.over = true
			code, err := strconv.Atoi(string(m.Data))
			if err != nil {
				return 0, fmt.Errorf("node %s says an exit code of %q", a.node, m.Data)
			}
			return code, nil
		case streamError:
			a.over = true
			return 0, errorIn(m)
		case streamStdout, streamStderr, streamLog, streamStats:
			if err := a.take(m); err != nil {
				return 0, err
			}
			if err := a.taken(); err != nil {
				return 0, err
			}
		}
	}
}

// next waits for a message, not longer than an agent that lives is silent.
func (a *answer) next(ctx context.Context) (*nats.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, a.caller.timing.Silence)
	defer cancel()
	m, err := a.sub.NextMsgWithContext(waiting)
	switch {
	case err == nil && m.Header.Get("Status") == "503", errors.Is(err, nats.ErrNoResponders):
		return nil, fail(events.ErrUnavailable, "node %s cannot be reached: its agent is not connected", a.node)
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fail(events.ErrUnavailable, "node %s has fallen silent", a.node)
	}
	return nil, fail(events.ErrUnavailable, "hear node %s: %v", a.node, err)
}

// taken acknowledges chunks, several at once.
func (a *answer) taken() error {
	if a.unacked++; a.unacked < Window/4 {
		return nil
	}
	n := a.unacked
	a.unacked = 0
	return a.say(ackMessage(a.input, n))
}

func (a *answer) say(m *nats.Msg) error {
	if err := a.caller.nc.PublishMsg(m); err != nil {
		return fail(events.ErrUnavailable, "tell node %s: %v", a.node, err)
	}
	return nil
}

// pulse says that the caller is there, also while it is busy with a chunk.
func (a *answer) pulse(ctx context.Context) {
	ticker := time.NewTicker(a.caller.timing.Ping)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if a.say(message(a.input, streamPing, nil)) != nil {
				return // the agent's clock ends the stream
			}
		}
	}
}

// sendInput ends with its reader or the stream.
func (a *answer) sendInput(ctx context.Context) {
	buffer := make([]byte, MaxChunk)
	for {
		n, err := a.streams.Stdin.Read(buffer)
		if ctx.Err() != nil {
			return
		}
		if n > 0 && (a.typed.take(ctx) != nil || a.say(message(a.input, streamStdin, buffer[:n])) != nil) {
			return
		}
		if err != nil {
			if err != io.EOF {
				// What was typed is not complete: the process must not take it for the whole.
				_ = a.say(message(a.input, streamCancel, nil))
				return
			}
			_ = a.say(message(a.input, streamClose, nil))
			return
		}
	}
}

func (a *answer) sendSizes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-a.streams.Resize:
			if !ok {
				return
			}
			data, err := json.Marshal(size)
			if err != nil || a.say(message(a.input, streamResize, data)) != nil {
				return
			}
		}
	}
}
