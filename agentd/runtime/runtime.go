// Package runtime is what an agent needs of the machine below it: sandboxes, containers, images, logs and exec.
//
// An instance is one sandbox (a network namespace with its addresses) and in it its containers. Every run of a container is
// a container of its own with an id that is never used again: a run that ended never runs again. Every verb is idempotent:
// creating what exists, stopping what stopped and removing what is gone succeed, so an agent may repeat any of them after a crash.
//
// Two implementations: runc (any OCI command line that go-runc drives, under a shim) and sim (in memory, scripted).
// The suite that both pass is runtimetest.
package runtime

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// Runtime is a node's container runtime.
type Runtime interface {
	// Init prepares the node: directories, networks, the OCI runtime. It fails with an error that names what is missing and,
	// where one is known, the package that has it. Safe to repeat.
	Init(ctx context.Context) error
	// Info says what the machine has.
	Info(ctx context.Context) (Info, error)

	Images
	Sandboxes
	Containers
	Streams

	// Close lets go of the runtime; containers go on running.
	Close() error
}

// Images pulls and keeps images.
type Images interface {
	// PullImage has the image with ref's digest on the node when it returns; one already there costs no network.
	// Pulls of the same image at once are done once. progress may be nil.
	PullImage(ctx context.Context, ref spec.ImageRef, progress func(PullProgress)) (Image, error)
	// ListImages lists what is on the node.
	ListImages(ctx context.Context) ([]Image, error)
	// CollectImages removes images that nothing needs while the disk is fuller than the runtime's configuration allows, the longest
	// unused first, and returns what it removed. Those of keep, of containers and of pulls under way stay.
	CollectImages(ctx context.Context, keep []spec.ImageRef) ([]Image, error)
}

// Sandboxes makes the network namespaces of instances.
type Sandboxes interface {
	// CreateSandbox makes the instance's network namespace with its addresses and host ports.
	CreateSandbox(ctx context.Context, config SandboxConfig) (Sandbox, error)
	// RemoveSandbox takes all of it away; the instance's containers must be removed before.
	RemoveSandbox(ctx context.Context, instance string) error
	// ListSandboxes lists what is there, for the clean-up of what has no assignment.
	ListSandboxes(ctx context.Context) ([]Sandbox, error)
}

// Containers runs containers.
type Containers interface {
	// Create makes the container ready to start: root file system, OCI spec, bundle. Its sandbox must exist.
	Create(ctx context.Context, config ContainerConfig) error
	// Start starts the main process and returns once it runs.
	Start(ctx context.Context, id string) (Status, error)
	// Stop sends the stop signal and after grace SIGKILL; it returns once the container is down.
	Stop(ctx context.Context, id string, signal string, grace time.Duration) error
	// Remove takes the container, its root file system and its exit record away. Its logs stay until the sandbox goes.
	Remove(ctx context.Context, id string) error
	// Status is [ErrNotFound] for an unknown container.
	Status(ctx context.Context, id string) (Status, error)
	// List lists every container of this runtime, ended ones included until they are removed. Where some cannot be looked at it lists the
	// others beside [ErrUnseen].
	List(ctx context.Context) ([]Status, error)
	// Wait returns the status of the container once it has ended, whoever started it and however often the agent restarted.
	Wait(ctx context.Context, id string) (Status, error)
	// Stats is what a running container uses now.
	Stats(ctx context.Context, id string) (Stats, error)
}

// Streams serves the bytes of containers.
type Streams interface {
	// Logs writes the log of one container run to emit, oldest first; with Follow it goes on until the container has ended
	// and all is written, or ctx is done.
	Logs(ctx context.Context, id string, options LogOptions, emit func(LogLine) error) error
	// Exec runs a process in a running container and returns its exit code.
	Exec(ctx context.Context, id string, options ExecOptions) (exitCode int, err error)
}

// Info is what a machine has.
type Info struct {
	Capacity     spec.Resources
	Architecture string // GOARCH
	OS           string // GOOS
	Kernel       string
	Runtime      string // name and version, such as "runc 1.1.5"
}

// PullProgress is how far a pull is.
type PullProgress struct {
	Layers, LayersDone int
	Bytes, BytesDone   int64 // compressed size
}

// Image is an image on the node.
type Image struct {
	Ref    spec.ImageRef
	Digest string // of the manifest
	Size   int64  // bytes on disk, unpacked
}

// SandboxConfig asks for the sandbox of an instance.
type SandboxConfig struct {
	Instance string // unique on the node and usable as a file name: <namespace>.<instance>
	Hostname string
	Ports    []spec.Port // those with a HostPort are published on the node
	Labels   map[string]string
}

// Sandbox is the network namespace of an instance.
type Sandbox struct {
	Instance  string
	NetNSPath string       // empty in sim
	Addresses []netip.Addr // the instance's own
	Labels    map[string]string
	// Broken says that something of it is missing, such as after a crash or a restart of the machine: nothing can run in it.
	Broken bool
}

// ContainerConfig asks for one run of one container.
type ContainerConfig struct {
	ID       string // <instance>.<container>.<run>, unique for ever
	Instance string // its sandbox
	Spec     spec.Container
	Image    Image
	Env      []spec.EnvVar     // beyond the spec's own, such as RUTTER_INSTANCE
	Labels   map[string]string // given back in Status
}

// State is where a container run stands. It only climbs.
type State string

// The states of a container run.
const (
	StateCreated State = "created"
	StateRunning State = "running"
	StateExited  State = "exited"
)

// Status is what is known of a container run.
type Status struct {
	ID        string
	Instance  string
	State     State
	PID       int // of the main process, 0 unless running
	StartedAt time.Time
	ExitedAt  time.Time
	ExitCode  int  // 128 + signal where a signal ended it
	Signal    int  // 0 where none did
	OOMKilled bool // the kernel killed it at its memory limit
	Labels    map[string]string
}

// Stats is what a container uses.
type Stats struct {
	CPU    time.Duration // processor time since its start
	Memory spec.Bytes
	PIDs   int
}

// LogOptions chooses lines.
type LogOptions struct {
	Follow bool
	Tail   int // last lines only; below 0 all
	Since  time.Time
}

// LogLine is one line, or a part of one that is longer than the shim's buffer.
type LogLine struct {
	Time    time.Time
	Stream  string // stdout or stderr
	Partial bool   // the line goes on in the next LogLine
	Text    []byte // without the line end
}

// ExecOptions asks for a process in a container.
type ExecOptions struct {
	Command        []string
	Env            []spec.EnvVar
	TTY            bool
	Stdin          io.Reader // nil: empty
	Stdout, Stderr io.Writer // Stderr is unused with a TTY
	Resize         <-chan TerminalSize
}

// TerminalSize is in characters.
type TerminalSize struct{ Width, Height uint16 }
