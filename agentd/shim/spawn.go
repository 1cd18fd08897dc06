package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"syscall"
)

// Spawn starts a shim for the container in dir, apart from the caller's session and process group, so that it outlives the caller.
// It returns while the shim is still starting; ready waits until its socket listens.
func Spawn(command []string, dir string, config Config) (ready func() error, err error) {
	input, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	own, err := os.OpenFile(filepath.Join(dir, ownLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spawn a shim: %w", err)
	}
	defer own.Close()
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("spawn a shim: %w", err)
	}
	defer in.Close()
	defer stdin.Close()
	answers, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("spawn a shim: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], config.ID)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, in, own, own, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Small from its first moment: what is set later comes after the packages' initialization.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "GOGC=25", "GOMEMLIMIT=24MiB")
	if err := cmd.Start(); err != nil {
		_ = answers.Close()
		return nil, fmt.Errorf("spawn a shim: %w", err)
	}
	// Reaped here while this process lives, by init after it.
	go func() { _ = cmd.Wait() }()
	if _, err := stdin.Write(input); err != nil {
		_ = answers.Close()
		return nil, fmt.Errorf("configure the shim: %w", err)
	}
	return func() error {
		defer answers.Close()
		said, err := io.ReadAll(answers)
		if err != nil {
			return fmt.Errorf("start a shim: %w", err)
		}
		if !bytes.Equal(said, []byte("ok")) {
			return errors.Join(ErrGone, fmt.Errorf("start a shim: %q", said))
		}
		return nil
	}, nil
}
