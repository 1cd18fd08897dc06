package cni

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
)

// cleanUp is how long the taking back of a sandbox that came to nothing may last where whoever asked for the sandbox waits no longer. What
// is left then goes with the next Add or Del.
const cleanUp = 10 * time.Second

// plugins runs CNI plugins, and waits for none longer than its context lasts. The library kills the plugin then, but goes on to wait for
// whatever the plugin has started and left with its output, such as the address management that the bridge plugin calls.
type plugins struct{ invoke.DefaultExec }

func newPlugins() *plugins {
	return &plugins{invoke.DefaultExec{RawExec: &invoke.RawExec{}}}
}

// ExecPlugin implements invoke.Exec.
func (p *plugins) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	type result struct {
		out []byte
		err error
	}
	ended := make(chan result, 1)
	go func() {
		out, err := p.RawExec.ExecPlugin(ctx, path, stdin, environ)
		ended <- result{out, err}
	}()
	select {
	case r := <-ended:
		if r.err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("plugin %s: %w", filepath.Base(path), ctx.Err())
		}
		return r.out, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("plugin %s: %w", filepath.Base(path), ctx.Err())
	}
}
