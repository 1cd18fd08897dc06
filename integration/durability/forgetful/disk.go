// Package forgetful is a file system whose power can be cut: it forgets what was written and not fsynced. It is a FUSE file system over two
// directories. All that is written goes to the one, which stands for the page cache; what is fsynced goes to the other as well, which
// is the disk as it is found after the power was cut.
//
// Names are on the disk at once: files and directories that are made, renamed or removed survive, empty where their contents were not
// fsynced. That is what journaling file systems promise least of contents, and most of names.
package forgetful

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted file system.
type Disk struct {
	Mount string // where it is mounted

	cache string // all that was written
	disk  string // what was fsynced

	server *fuse.Server

	mu    sync.Mutex
	dirty map[uint64][]span // by inode in cache: written since it was last fsynced
}

// span is a range of a file.
type span struct{ from, to int64 }

// Mount mounts an empty disk below dir. It needs root and /dev/fuse.
func Mount(dir string) (*Disk, error) {
	d := &Disk{
		Mount: filepath.Join(dir, "mount"), cache: filepath.Join(dir, "cache"), disk: filepath.Join(dir, "disk"), dirty: map[uint64][]span{},
	}
	for _, made := range []string{d.Mount, d.cache, d.disk} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return nil, err
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(d.cache, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", d.cache, err)
	}
	root := &fs.LoopbackRoot{Path: d.cache, Dev: st.Dev}
	root.NewNode = func(root *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: root}, of: d}
	}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, of: d}
	root.RootNode = top
	var err error
	d.server, err = fs.Mount(d.Mount, top, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "forgetful", Name: "forgetful"}})
	if err != nil {
		return nil, fmt.Errorf("mount a FUSE file system: %w", err)
	}
	return d, nil
}

// Cut cuts the power: it unmounts the file system, whoever uses it, and returns the directory that is left.
func (d *Disk) Cut() (string, error) {
	if err := syscall.Unmount(d.Mount, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
		return "", fmt.Errorf("unmount %s: %w", d.Mount, err)
	}
	return d.disk, nil
}

// wrote notes what is not on the disk yet.
func (d *Disk) wrote(inode uint64, s span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	spans := d.dirty[inode]
	if n := len(spans); n > 0 && spans[n-1].to == s.from {
		spans[n-1].to = s.to
		return
	}
	d.dirty[inode] = append(spans, s)
}

// sync brings to the disk what was written to a file.
func (d *Disk) sync(inode uint64, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	spans := d.dirty[inode]
	delete(d.dirty, inode)
	if len(spans) == 0 {
		return nil
	}
	from, err := os.Open(filepath.Join(d.cache, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed while it was open
	} else if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // only read
	to, err := os.OpenFile(filepath.Join(d.disk, name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	for _, s := range spans {
		if _, err := io.Copy(io.NewOffsetWriter(to, s.from), io.NewSectionReader(from, s.from, s.to-s.from)); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	return to.Close()
}
