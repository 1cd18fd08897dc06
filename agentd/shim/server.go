package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lastWords is how long a shim whose work is done waits for clients to take their answers.
const lastWords = 2 * time.Second

// server answers on the socket.
type server struct {
	container *container
	listener  *net.UnixListener
	clients   sync.WaitGroup
	quit      chan struct{}
	quitOnce  sync.Once
}

func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // out of files or memory: there is nothing to wait for but that it passes
			continue
		}
		s.clients.Go(func() {
			defer conn.Close()
			s.serve(&wire{conn: conn})
		})
	}
}

// wait returns when the container has ended and nothing of it is left, or when the shim is told to quit.
func (s *server) wait() {
	select {
	case <-s.quit:
	case <-s.container.done:
		s.container.delete()
	}
	_ = s.listener.Close()
	served := make(chan struct{})
	go func() {
		s.clients.Wait()
		close(served)
	}()
	select {
	case <-served:
	case <-time.After(lastWords):
	}
}

func (s *server) serve(w *wire) {
	kind, payload, err := w.read()
	if err != nil {
		return
	}
	var req request
	if err := json.Unmarshal(payload, &req); err != nil || kind != frameRequest {
		s.answer(w, answer{Error: fmt.Sprintf("not a request: %v", err)})
		return
	}
	switch req.Verb {
	case verbStart:
		s.answer(w, s.container.start())
	case verbWait:
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _, _ = w.read() // returns when the client hangs up
		}()
		select {
		case <-s.container.done:
			s.answer(w, answer{Exit: s.container.exit})
		case <-s.quit:
		case <-gone:
		}
	case verbKill:
		s.answer(w, s.container.kill(unix.Signal(req.Signal)))
	case verbQuit:
		if !s.container.abandon() {
			s.answer(w, answer{Error: "the container was started"})
			return
		}
		s.answer(w, answer{})
		s.quitOnce.Do(func() { close(s.quit) })
	case verbExec:
		s.answer(w, s.container.exec(w, req.Exec))
	default:
		s.answer(w, answer{Error: fmt.Sprintf("unknown verb %q", req.Verb)})
	}
}

func (s *server) answer(w *wire, a answer) {
	_ = w.writeJSON(frameAnswer, a) // a client that is gone needs no answer
}
