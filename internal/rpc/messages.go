package rpc

import (
	"io"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// LogsRequest asks for the log of a container of an instance.
type LogsRequest struct {
	Instance  events.InstanceKey `json:"instance"`
	Container string             `json:"container,omitempty"` // the only one where empty
	Previous  bool               `json:"previous,omitempty"`  // of the run before the newest
	Follow    bool               `json:"follow,omitempty"`
	Tail      int                `json:"tail"` // last lines only; below 0 all
	Since     time.Time          `json:"since,omitzero"`
}

// LogLine is one line, or a part of one that goes on in the next.
type LogLine struct {
	Time    time.Time
	Stream  string // stdout or stderr
	Partial bool
	Text    []byte // without the line end
}

// ExecRequest asks for a process in a running container.
type ExecRequest struct {
	Instance  events.InstanceKey `json:"instance"`
	Container string             `json:"container,omitempty"` // the only one where empty
	Command   []string           `json:"command"`
	Env       []spec.EnvVar      `json:"env,omitempty"`
	TTY       bool               `json:"tty,omitempty"`
	Stdin     bool               `json:"stdin,omitempty"` // false: the process reads the end of file at once
}

// TerminalSize is in characters.
type TerminalSize struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// ExecStreams are the ends of an exec: at the caller what the person types and sees, at the agent the process's own.
type ExecStreams struct {
	Stdin          io.Reader // nil: none
	Stdout, Stderr io.Writer // Stderr is unused with a TTY
	Resize         <-chan TerminalSize
}

// StatsRequest asks what the containers of an instance use.
type StatsRequest struct {
	Instance events.InstanceKey `json:"instance"`
}

// ContainerStats is what a container uses now.
type ContainerStats struct {
	Name   string        `json:"name"`
	CPU    time.Duration `json:"cpu"` // processor time since its start
	Memory spec.Bytes    `json:"memory"`
	PIDs   int           `json:"pids"`
}
