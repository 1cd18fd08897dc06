package shim

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// consoleSocket is where the OCI runtime sends the terminal that it made. It is named relative to the shim's directory, as the shim's own socket.
type consoleSocket struct {
	path     string
	listener *net.UnixListener
}

func listenConsole(path string) (*consoleSocket, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &consoleSocket{path: path, listener: l}, nil
}

// Path implements go-runc's ConsoleSocket.
func (c *consoleSocket) Path() string { return c.path }

// Close removes the socket as well.
func (c *consoleSocket) Close() { _ = c.listener.Close() }

func (c *consoleSocket) receive() (*os.File, error) {
	// The OCI runtime has exited: what it sent is here or will never be.
	if err := c.listener.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil || len(fds) == 0 {
			continue
		}
		// Non-blocking, so that closing it ends a read.
		if err := unix.SetNonblock(fds[0], true); err != nil {
			return nil, err
		}
		unix.CloseOnExec(fds[0])
		return os.NewFile(uintptr(fds[0]), "console"), nil
	}
	return nil, errors.New("no file descriptor came")
}
