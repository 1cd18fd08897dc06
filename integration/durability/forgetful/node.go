package forgetful

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory. What changes names goes to both directories at once.
type node struct {
	fs.LoopbackNode
	of *Disk
}

var (
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeSymlinker      = (*node)(nil)
	_ fs.NodeCopyFileRanger = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.FileReader         = (*file)(nil)
	_ fs.FileWriter         = (*file)(nil)
	_ fs.FileFsyncer        = (*file)(nil)
	_ fs.FileFlusher        = (*file)(nil)
	_ fs.FileReleaser       = (*file)(nil)
	_ fs.FileGetattrer      = (*file)(nil)
	_ fs.FileAllocater      = (*file)(nil)
	_ fs.FileLseeker        = (*file)(nil)
)

// name is the node's path below the root.
func (n *node) name() string { return n.Path(n.Root()) }

func (n *node) onDisk(child string) string { return filepath.Join(n.of.disk, n.name(), child) }

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, handle, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	f, err := os.OpenFile(n.onDisk(name), os.O_WRONLY|os.O_CREATE|int(flags)&os.O_TRUNC, os.FileMode(mode&0o777))
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	made, _ := inode.Operations().(*node)
	return inode, made.wrap(handle, flags), fuseFlags, 0
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		if err := os.Truncate(n.onDisk(""), 0); err != nil {
			return nil, 0, fs.ToErrno(err)
		}
	}
	return n.wrap(handle, flags), fuseFlags, 0
}

// wrap makes a handle that notes what is written.
func (n *node) wrap(handle fs.FileHandle, flags uint32) fs.FileHandle {
	inner, _ := handle.(*fs.LoopbackFile)
	return &file{inner: inner, of: n, always: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno != 0 {
		return nil, errno
	}
	return inode, fs.ToErrno(os.MkdirAll(n.onDisk(name), os.FileMode(mode&0o777)))
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.LoopbackNode.Unlink(ctx, name); errno != 0 {
		return errno
	}
	return fs.ToErrno(os.RemoveAll(n.onDisk(name)))
}

// Rmdir implements fs.NodeRmdirer.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if errno := n.LoopbackNode.Rmdir(ctx, name); errno != 0 {
		return errno
	}
	return fs.ToErrno(os.RemoveAll(n.onDisk(name)))
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags != 0 {
		return syscall.ENOTSUP
	}
	if errno := n.LoopbackNode.Rename(ctx, name, newParent, newName, flags); errno != 0 {
		return errno
	}
	return fs.ToErrno(os.Rename(n.onDisk(name), to.onDisk(newName)))
}

// Setattr implements fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.LoopbackNode.Setattr(ctx, nil, in, out); errno != 0 {
		return errno
	}
	if size, ok := in.GetSize(); ok {
		return fs.ToErrno(os.Truncate(n.onDisk(""), int64(size)))
	}
	return 0
}

// Link implements fs.NodeLinker: there are none.
func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

// Symlink implements fs.NodeSymlinker: there are none.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

// CopyFileRange implements fs.NodeCopyFileRanger: the caller reads and writes instead.
func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOTSUP
}

// OpendirHandle implements fs.NodeOpendirHandler. To fsync a directory is to bring names to the disk, where they are.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return n.LoopbackNode.OpendirHandle(ctx, flags)
}

// file is an open file.
type file struct {
	inner  *fs.LoopbackFile
	of     *node
	always bool // every write is fsynced
}

// inode is the file's number in the cache's directory.
func (f *file) inode(ctx context.Context) uint64 {
	var out fuse.AttrOut
	_ = f.inner.Getattr(ctx, &out) // an open file has attributes
	return out.Ino
}

// Read implements fs.FileReader.
func (f *file) Read(ctx context.Context, data []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return f.inner.Read(ctx, data, off)
}

// Write implements fs.FileWriter.
func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, errno := f.inner.Write(ctx, data, off)
	if n > 0 {
		f.of.of.wrote(f.inode(ctx), span{off, off + int64(n)})
	}
	if errno == 0 && f.always {
		errno = f.Fsync(ctx, 0)
	}
	return n, errno
}

// Fsync implements fs.FileFsyncer.
func (f *file) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return fs.ToErrno(f.of.of.sync(f.inode(ctx), f.of.name()))
}

// Flush implements fs.FileFlusher: closing a file brings nothing to the disk.
func (f *file) Flush(ctx context.Context) syscall.Errno { return f.inner.Flush(ctx) }

// Release implements fs.FileReleaser.
func (f *file) Release(ctx context.Context) syscall.Errno { return f.inner.Release(ctx) }

// Getattr implements fs.FileGetattrer.
func (f *file) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return f.inner.Getattr(ctx, out)
}

// Allocate implements fs.FileAllocater.
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	return f.inner.Allocate(ctx, off, size, mode)
}

// Lseek implements fs.FileLseeker.
func (f *file) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	return f.inner.Lseek(ctx, off, whence)
}
