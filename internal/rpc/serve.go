package rpc

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
)

// Handlers is what an agent does for callers. Each ends when its context does.
type Handlers struct {
	Logs  func(ctx context.Context, request LogsRequest, emit func(LogLine) error) error
	Exec  func(ctx context.Context, request ExecRequest, streams ExecStreams) (exitCode int, err error)
	Stats func(ctx context.Context, request StatsRequest) ([]ContainerStats, error)
}

// maxSessions is how many streams one node serves at once.
const maxSessions = 256

var errShutdown = fail(events.ErrUnavailable, "the node's agent is shutting down")

// Serve answers callers until ctx is done; then the streams under way end with an error that says so.
func Serve(ctx context.Context, nc *nats.Conn, node string, handlers Handlers) error {
	return ServeTimed(ctx, nc, node, handlers, DefaultTiming)
}

// ServeTimed is [Serve] with another timing.
func ServeTimed(ctx context.Context, nc *nats.Conn, node string, handlers Handlers, timing Timing) error {
	s := &server{nc: nc, node: node, handlers: handlers, timing: timing, sessions: map[string]*session{}}
	running, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(errShutdown)
	subscribe := func(subject string, handle nats.MsgHandler) (*nats.Subscription, error) {
		sub, err := nc.Subscribe(subject, handle)
		if err != nil {
			return nil, fmt.Errorf("serve streams of node %s: %w", node, err)
		}
		return sub, nil
	}
	subs := make([]*nats.Subscription, 0, 4)
	defer func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // the connection may be closed already
		}
	}()
	in, err := subscribe(inputSubject(node, "*"), s.input)
	if err != nil {
		return err
	}
	subs = append(subs, in)
	for verb, serve := range map[string]func(*session, []byte) error{verbLogs: s.logs, verbExec: s.exec, verbStats: s.stats} {
		subject := verbSubject(node, verb)
		sub, err := subscribe(subject, func(m *nats.Msg) {
			if m.Subject == subject { // else it was not sent here, but steered by somebody's consumer
				s.begin(running, m, serve)
			}
		})
		if err != nil {
			return err
		}
		subs = append(subs, sub)
	}
	<-ctx.Done()
	end(errShutdown)
	s.group.Wait()
	return nil
}

type server struct {
	nc       *nats.Conn
	node     string
	handlers Handlers
	timing   Timing

	group    sync.WaitGroup
	mu       sync.Mutex
	sessions map[string]*session
}

// begin answers one request in a session of its own.
func (s *server) begin(ctx context.Context, request *nats.Msg, serve func(*session, []byte) error) {
	if !strings.HasPrefix(request.Reply, Answers(s.node)+".") {
		return // no gateway asks for answers elsewhere
	}
	session := newSession(ctx, s, request.Reply)
	s.mu.Lock()
	full := len(s.sessions) >= maxSessions
	if !full {
		s.sessions[session.id] = session
		s.group.Add(1)
	}
	s.mu.Unlock()
	if full {
		session.end(0, fail(events.ErrBusy, "node %s serves %d streams already", s.node, maxSessions))
		return
	}
	go func() {
		defer s.group.Done()
		session.run(func() error { return serve(session, request.Data) })
		s.mu.Lock()
		delete(s.sessions, session.id)
		s.mu.Unlock()
	}()
}

// input hands what a caller says to its session.
func (s *server) input(m *nats.Msg) {
	id, ok := strings.CutPrefix(m.Subject, inputSubject(s.node, ""))
	if !ok {
		return // steered here
	}
	s.mu.Lock()
	session := s.sessions[id]
	s.mu.Unlock()
	if session != nil {
		session.hear(m)
	}
}
