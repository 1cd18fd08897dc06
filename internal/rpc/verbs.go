package rpc

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

func request[R any](data []byte) (r R, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fail(events.ErrInvalid, "read the request: %v", err)
	}
	return r, nil
}

func (s *server) unsupported(verb string) error {
	return fail(events.ErrUnavailable, "node %s does not serve %s", s.node, verb)
}

func (s *server) logs(session *session, data []byte) error {
	r, err := request[LogsRequest](data)
	if err != nil {
		return err
	}
	if s.handlers.Logs == nil {
		return s.unsupported(verbLogs)
	}
	return s.handlers.Logs(session.ctx, r, session.line)
}

// line sends one line of a log; one longer than a chunk goes as several parts.
func (s *session) line(line LogLine) error {
	for {
		n := min(len(line.Text), MaxChunk)
		m := message(s.inbox, streamLog, line.Text[:n])
		m.Header.Set(headerTime, line.Time.UTC().Format(time.RFC3339Nano))
		m.Header.Set(headerLog, line.Stream)
		rest := line.Text[n:]
		if len(rest) > 0 || line.Partial {
			m.Header.Set(headerPartial, "true")
		}
		if err := s.send(m); err != nil {
			return err
		}
		if line.Text = rest; len(rest) == 0 {
			return nil
		}
	}
}

func (s *server) exec(session *session, data []byte) error {
	r, err := request[ExecRequest](data)
	if err != nil {
		return err
	}
	if s.handlers.Exec == nil {
		return s.unsupported(verbExec)
	}
	streams := ExecStreams{Stdout: session.writer(streamStdout), Stderr: session.writer(streamStderr), Resize: session.sizes}
	if r.Stdin {
		streams.Stdin = session.input()
	}
	code, err := s.handlers.Exec(session.ctx, r, streams)
	session.exited.Store(int64(code))
	return err
}

func (s *server) stats(session *session, data []byte) error {
	r, err := request[StatsRequest](data)
	if err != nil {
		return err
	}
	if s.handlers.Stats == nil {
		return s.unsupported(verbStats)
	}
	all, err := s.handlers.Stats(session.ctx, r)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode stats: %w", err)
	}
	return session.send(message(session.inbox, streamStats, encoded))
}
