package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/rutter-run/rutter/gateway/api"
)

// ExecOptions asks for a process in a running container.
type ExecOptions struct {
	Container      string // may be empty where the instance has only one
	Command        []string
	TTY            bool
	Stdin          io.Reader // nil: none
	Stdout, Stderr io.Writer // Stderr is unused with a TTY
	Resize         <-chan api.TerminalSize
}

// maxExecMessage is how large one message of the gateway may be.
const maxExecMessage = 1 << 20

// Exec runs a process in a container and returns its exit code.
func (c *Client) Exec(ctx context.Context, namespace, instance string, options ExecOptions) (int, error) {
	query := url.Values{"command": options.Command}
	if options.Container != "" {
		query.Set("container", options.Container)
	}
	if options.TTY {
		query.Set("tty", "true")
	}
	if options.Stdin != nil {
		query.Set("stdin", "true")
	}
	address := *c.base
	address.Path += instancePath(namespace, instance) + "/exec"
	address.RawQuery = query.Encode()
	header := http.Header{}
	c.authorize(header)
	conn, response, err := websocket.Dial(ctx, address.String(), &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: header, Subprotocols: []string{api.ExecProtocol},
	})
	if err != nil {
		if response != nil && response.StatusCode >= http.StatusBadRequest {
			return 0, problemIn(response)
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, &UnreachableError{Address: c.Address(), Err: err}
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxExecMessage)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	send := func(channel byte, content []byte) error {
		return conn.Write(ctx, websocket.MessageBinary, append([]byte{channel}, content...))
	}
	if options.Stdin != nil {
		go sendInput(options.Stdin, send)
	}
	if options.Resize != nil {
		go sendSizes(ctx, options.Resize, send)
	}
	return receiveOutput(ctx, conn, options)
}

// sendInput ends with its reader or the connection. A reader that blocks for ever, as a terminal does, ends with the process.
func sendInput(in io.Reader, send func(byte, []byte) error) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := in.Read(buffer)
		if n > 0 && send(api.ExecStdin, buffer[:n]) != nil {
			return
		}
		if err != nil {
			_ = send(api.ExecCloseStdin, nil) // where the connection is gone the other side knows
			return
		}
	}
}

func sendSizes(ctx context.Context, sizes <-chan api.TerminalSize, send func(byte, []byte) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			data, err := json.Marshal(size)
			if err != nil || send(api.ExecResize, data) != nil {
				return
			}
		}
	}
}

func receiveOutput(ctx context.Context, conn *websocket.Conn, options ExecOptions) (int, error) {
	for {
		_, message, err := conn.Read(ctx)
		var closed websocket.CloseError
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.As(err, &closed):
			return 0, fmt.Errorf("the session was closed: %s", strings.TrimSpace(closed.Reason))
		case err != nil:
			return 0, fmt.Errorf("the session broke off: %w", err)
		case len(message) == 0:
			continue
		}
		content := message[1:]
		switch message[0] {
		case api.ExecStdout:
			_, err = write(options.Stdout, content)
		case api.ExecStderr:
			_, err = write(options.Stderr, content)
		case api.ExecExit:
			var result api.ExecResult
			if err := json.Unmarshal(content, &result); err != nil {
				return 0, fmt.Errorf("read the exit code: %w", err)
			}
			if result.Error != nil {
				return 0, result.Error
			}
			conn.Close(websocket.StatusNormalClosure, "")
			return result.Code, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func write(w io.Writer, content []byte) (int, error) {
	if w == nil {
		return len(content), nil
	}
	return w.Write(content)
}
