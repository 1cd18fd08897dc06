package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/internal/rpc"
)

// maxExecMessage is how large one message of an exec's client may be.
const maxExecMessage = 1 << 20

// exec runs a process in a container over a WebSocket; see api.ExecStdin and its siblings for the framing. What can be refused is refused
// before the upgrade, with a problem.
func (a *API) exec(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	request := rpc.ExecRequest{
		Container: q.text("container"), Command: r.URL.Query()["command"], TTY: q.flag("tty"), Stdin: q.flag("stdin"),
	}
	namespace, name := chi.URLParam(r, "namespace"), chi.URLParam(r, "name")
	err := q.faults.Err()
	if err == nil {
		_, err = a.App.CheckExec(namespace, name, &request)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{api.ExecProtocol}})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxExecMessage)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(a.closing, func() {
		conn.Close(websocket.StatusGoingAway, "the gateway is shutting down")
		cancel()
	})
	defer stop()

	session := &execSession{ctx: ctx, conn: conn}
	stdin, typed := io.Pipe()
	resize := make(chan rpc.TerminalSize, 1)
	streams := rpc.ExecStreams{Stdout: session.channel(api.ExecStdout), Stderr: session.channel(api.ExecStderr), Resize: resize}
	if request.Stdin {
		streams.Stdin = stdin
	}
	go func() {
		defer cancel() // a client that went away ends the process's session
		session.receive(typed, resize, request.Stdin)
	}()
	code, err := a.App.Exec(ctx, namespace, name, request, streams)
	stdin.Close()
	if err != nil && ctx.Err() != nil {
		return // nobody is left to tell
	}
	result := api.ExecResult{Code: code}
	if err != nil {
		result.Error = problemOf(err)
		result.Error.RequestID = requestOf(r).id
	}
	if data, err := json.Marshal(result); err == nil {
		if _, err = session.channel(api.ExecExit).Write(data); err == nil {
			conn.Close(websocket.StatusNormalClosure, "")
		}
	}
}

// execSession is one exec's WebSocket.
type execSession struct {
	ctx  context.Context
	conn *websocket.Conn
}

// receive hands on what the client sends until it goes away.
func (s *execSession) receive(typed *io.PipeWriter, resize chan rpc.TerminalSize, takesInput bool) {
	for {
		_, message, err := s.conn.Read(s.ctx)
		if err != nil {
			typed.CloseWithError(io.EOF)
			return
		}
		if len(message) == 0 {
			continue
		}
		switch content := message[1:]; message[0] {
		case api.ExecStdin:
			if !takesInput {
				continue
			}
			if _, err := typed.Write(content); errors.Is(err, io.ErrClosedPipe) {
				takesInput = false // the process has ended; its exit is on the way
			}
		case api.ExecCloseStdin:
			typed.Close()
		case api.ExecResize:
			var size rpc.TerminalSize
			if json.Unmarshal(content, &size) != nil {
				continue
			}
			select { // only the newest size counts
			case <-resize:
			default:
			}
			resize <- size
		}
	}
}

// channel writes messages of one channel.
func (s *execSession) channel(number byte) io.Writer { return execChannel{s, number} }

type execChannel struct {
	session *execSession
	number  byte
}

func (c execChannel) Write(content []byte) (int, error) {
	message := append([]byte{c.number}, content...)
	if err := c.session.conn.Write(c.session.ctx, websocket.MessageBinary, message); err != nil {
		return 0, err
	}
	return len(content), nil
}
