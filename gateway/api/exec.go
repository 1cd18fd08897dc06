package api

// The exec stream is a WebSocket of binary messages. The first byte of each names its channel, the rest is its content.
const (
	ExecStdin      byte = 0 // client → server: bytes for the process
	ExecStdout     byte = 1 // server → client
	ExecStderr     byte = 2 // server → client
	ExecResize     byte = 3 // client → server: TerminalSize as JSON
	ExecExit       byte = 4 // server → client, last: ExecResult as JSON
	ExecCloseStdin byte = 5 // client → server: no more input
)

// ExecProtocol is the WebSocket subprotocol of the exec stream.
const ExecProtocol = "exec.v1.rutter.run"

// TerminalSize is in characters.
type TerminalSize struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// ExecResult is how an exec ended: the exit code of the process, or why there is none.
type ExecResult struct {
	Code  int      `json:"code"`
	Error *Problem `json:"error,omitempty"`
}
