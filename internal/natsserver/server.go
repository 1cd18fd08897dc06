// Package natsserver runs a NATS server with JetStream inside a process: the log of a single machine, or one of the servers of a
// small cluster. Every write is fsynced before it is acknowledged (sync always), and the server listens on loopback unless told
// otherwise: a loopback listener is faster for replay than an in-process pipe, and a graceful shutdown needs one.
package natsserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/sirupsen/logrus"
)

// Server is a running server.
type Server struct {
	inner *server.Server
	lock  *os.File
	dir   string
}

// startTimeout is how long the server may take to recover its files and listen.
const startTimeout = 2 * time.Minute

// Start starts a server and returns when it accepts clients. In a cluster JetStream may still be looking for its leader.
func Start(c Config) (*Server, error) {
	o, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	held, err := lock(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	s, err := start(c, o)
	if err != nil {
		_ = held.Close()
		return nil, err
	}
	s.lock = held
	return s, nil
}

func start(c Config, o *server.Options) (*Server, error) {
	inner, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	if c.Log == nil {
		c.Log = logrus.StandardLogger()
	}
	inner.SetLoggerV2(logger{c.Log.WithField("server", inner.Name())}, false, false, false)
	inner.Start()
	if !inner.ReadyForConnections(startTimeout) {
		inner.Shutdown()
		return nil, fmt.Errorf("start NATS server: not ready after %s: is port %d of %s taken, or %s not writable?", startTimeout, o.Port, o.Host, c.Dir)
	}
	if !inner.JetStreamEnabled() {
		inner.Shutdown()
		return nil, errors.New("start NATS server: JetStream did not start")
	}
	return &Server{inner: inner, dir: c.Dir}, nil
}

// URL is where clients reach the server.
func (s *Server) URL() string { return s.inner.ClientURL() }

// ClusterURL is where other servers reach it; empty where it is alone.
func (s *Server) ClusterURL() string {
	if addr := s.inner.ClusterAddr(); addr != nil {
		return "nats://" + addr.String()
	}
	return ""
}

// Name is the server's name.
func (s *Server) Name() string { return s.inner.Name() }

// Disk is how large the file system is that the log is on, and how much of it is free.
func (s *Server) Disk() (size, free uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return st.Blocks * uint64(st.Bsize), st.Bavail * uint64(st.Bsize), nil
}

// Drain shuts the server down gracefully: it hands its leaderships to others, asks its clients to move, and returns when it is down.
func (s *Server) Drain() {
	s.inner.LameDuckShutdown()
	s.inner.WaitForShutdown()
	_ = s.lock.Close()
}

// Stop shuts the server down at once and returns when it is down. What was acknowledged is on disk.
func (s *Server) Stop() {
	s.inner.Shutdown()
	s.inner.WaitForShutdown()
	_ = s.lock.Close()
}
