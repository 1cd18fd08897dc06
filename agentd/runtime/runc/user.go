package runc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"golang.org/x/sys/unix"
)

// resolveUser finds the numbers of user[:group] in the root file system's passwd and group.
func resolveUser(rootfs, name string) (specs.User, error) {
	if name == "" {
		name = "0"
	}
	passwd, err := readWithin(rootfs, "etc/passwd")
	if err != nil {
		return specs.User{}, err
	}
	group, err := readWithin(rootfs, "etc/group")
	if err != nil {
		return specs.User{}, err
	}
	found, err := user.GetExecUser(name, nil, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return specs.User{}, fmt.Errorf("%w: user %q: %w", runtime.ErrBadConfig, name, err)
	}
	u := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid), AdditionalGids: []uint32{uint32(found.Gid)}}
	for _, g := range found.Sgids {
		if g != found.Gid {
			u.AdditionalGids = append(u.AdditionalGids, uint32(g))
		}
	}
	return u, nil
}

// maxDatabase bounds what a hostile image can make the agent read.
const maxDatabase = 10 << 20

// readWithin reads a file of a root file system as a process within would find it: no link leads out of it. What is not there is empty.
func readWithin(rootfs, name string) ([]byte, error) {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", rootfs, err)
	}
	defer func() { _ = unix.Close(root) }()
	// Not blocking: the file may be a pipe that nobody writes to.
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, name, how)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: open %s of the image: %w", runtime.ErrBadImage, name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxDatabase {
		return nil, fmt.Errorf("%w: %s of the image is no file of reasonable size", runtime.ErrBadImage, name)
	}
	return io.ReadAll(io.LimitReader(f, maxDatabase))
}
