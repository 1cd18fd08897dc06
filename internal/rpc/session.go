package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/rutter-run/rutter/events"
)

// session is one stream, on the agent's side.
type session struct {
	server *server
	id     string
	inbox  string // of the caller
	ctx    context.Context
	cancel context.CancelCauseFunc
	out    window
	heard  atomic.Int64 // when the caller was last heard of, monotonic

	typed  chan *nats.Msg // input that the process has not read yet
	sizes  chan TerminalSize
	exited atomic.Int64
}

var (
	errCallerGone = errors.New("the caller is gone")
	errFlooded    = fail(events.ErrInvalid, "more input than the window allows")
)

func newSession(ctx context.Context, s *server, inbox string) *session {
	ctx, cancel := context.WithCancelCause(ctx)
	return &session{
		server: s, id: nuid.Next(), inbox: inbox, ctx: ctx, cancel: cancel,
		typed: make(chan *nats.Msg, Window+1), // and the end of input
		sizes: make(chan TerminalSize, 1),
	}
}

// started is the beginning of monotonic time for heard.
var started = time.Now()

func (s *session) alive() { s.heard.Store(int64(time.Since(started))) }

// run serves the stream and tells its end.
func (s *session) run(serve func() error) {
	defer s.cancel(nil)
	s.alive()
	ready := message(s.inbox, streamReady, nil)
	ready.Header.Set(headerInput, inputSubject(s.server.node, s.id))
	if s.server.nc.PublishMsg(ready) != nil {
		return
	}
	go s.pulse()
	err := serve()
	if cause := context.Cause(s.ctx); cause != nil && err != nil {
		err = cause
	}
	if !errors.Is(err, errCallerGone) {
		s.end(int(s.exited.Load()), err)
	}
}

// end tells the caller that the stream is over. Where it cannot be told, its own clock tells it.
func (s *session) end(code int, err error) {
	if err != nil {
		_ = s.server.nc.PublishMsg(errorMessage(s.inbox, err))
		return
	}
	_ = s.server.nc.PublishMsg(message(s.inbox, streamExit, []byte(strconv.Itoa(code))))
}

// pulse says that the stream is there, and ends it when the caller has been silent for too long.
func (s *session) pulse() {
	ticker := time.NewTicker(s.server.timing.Ping)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(started)-time.Duration(s.heard.Load()) > s.server.timing.Silence {
			s.cancel(errCallerGone)
			return
		}
		if err := s.server.nc.PublishMsg(message(s.inbox, streamPing, nil)); err != nil {
			s.cancel(errCallerGone)
			return
		}
	}
}

// hear takes what the caller says. It never blocks: all sessions share the one who calls it.
func (s *session) hear(m *nats.Msg) {
	s.alive()
	switch m.Header.Get(headerStream) {
	case streamAck:
		s.out.acknowledged(m)
	case streamStdin, streamClose:
		select {
		case s.typed <- m:
		default:
			s.cancel(errFlooded)
		}
	case streamResize:
		var size TerminalSize
		if json.Unmarshal(m.Data, &size) != nil {
			return
		}
		select { // only the newest size counts
		case <-s.sizes:
		default:
		}
		select {
		case s.sizes <- size:
		default:
		}
	case streamCancel:
		s.cancel(errCallerGone)
	}
}

// send sends one chunk when there is room for it.
func (s *session) send(m *nats.Msg) error {
	if err := s.out.take(s.ctx); err != nil {
		return err
	}
	if err := s.server.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("send to the caller: %w", err)
	}
	return nil
}

// writer sends what is written to it as chunks of a stream.
func (s *session) writer(stream string) io.Writer { return chunkWriter{s, stream} }

type chunkWriter struct {
	session *session
	stream  string
}

func (w chunkWriter) Write(data []byte) (written int, err error) {
	for len(data) > 0 {
		n := min(len(data), MaxChunk)
		// The client keeps what it publishes until it is on the wire: a copy is made by PublishMsg itself.
		if err := w.session.send(message(w.session.inbox, w.stream, data[:n])); err != nil {
			return written, err
		}
		written, data = written+n, data[n:]
	}
	return written, nil
}

// input is what the caller types, as the process reads it. A chunk is acknowledged once it was read.
func (s *session) input() io.Reader {
	reader, writer := io.Pipe()
	go func() {
		for {
			select {
			case <-s.ctx.Done():
				writer.CloseWithError(context.Cause(s.ctx))
				return
			case m := <-s.typed:
				if m.Header.Get(headerStream) == streamClose {
					writer.Close()
					return
				}
				if _, err := writer.Write(m.Data); err != nil {
					return
				}
				if err := s.server.nc.PublishMsg(ackMessage(s.inbox, 1)); err != nil {
					s.cancel(errCallerGone)
				}
			}
		}
	}()
	context.AfterFunc(s.ctx, func() { reader.CloseWithError(io.EOF) })
	return reader
}
