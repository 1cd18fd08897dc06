package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// The files of a container's directory that the shim reads and writes.
const (
	startFile  = "start.json"
	exitFile   = "exit.json"
	lockFile   = "lock"
	socketFile = "shim.sock"
	ownLog     = "shim.log" // what the shim itself has to say, such as a panic
	runtimeLog = "runtime.log"
	pidFile    = "init.pid"
)

// Config is what a shim must know of its container. The working directory of the shim is the container's directory, which is
// the bundle as well.
type Config struct {
	ID          string
	Runtime     string // path of the OCI runtime
	Root        string // its state directory
	Log         string // path of the container's log
	LogMaxSize  int64  // bytes at which the log is rotated
	LogMaxFiles int    // files kept, the current one included
	Cgroup      string // of the container, as a path below the cgroup mounts
	OwnCgroup   string // where the shim itself moves unless it is in a root; empty: it stays
}

// Start is the record of a start.
type Start struct {
	At  time.Time
	PID int `json:",omitempty"` // 0 while the OCI runtime is at work
}

// Exit is the record of an end.
type Exit struct {
	StartedAt time.Time
	At        time.Time
	Code      int // 128 + signal where a signal ended it
	Signal    int `json:",omitempty"`
	OOMKilled bool
	Reason    string `json:",omitempty"` // where somebody other than the shim wrote the record
}

// WriteRecord replaces a file by v in JSON. Readers see the old or the new content, never half of one; durable ones are
// on disk when it returns.
func WriteRecord(path string, v any, durable bool) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".tmp", path)
}

// ReadRecord reads a file that WriteRecord wrote; ok is false where there is none or it cannot be read, and true with an error where it
// was read and is damaged.
func ReadRecord(path string, v any) (ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return true, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
