package logfile

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// watcher tells of writes to a log and of its rotation, by inotify on the directory.
type watcher struct {
	changed chan struct{}
	file    *os.File
}

func watchLog(path string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	w := &watcher{changed: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		w.close()
		return nil, err
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			// What happened does not matter: the reader looks for itself.
			if _, err := w.file.Read(buf); err != nil {
				return
			}
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}()
	return w, nil
}

func (w *watcher) close() { _ = w.file.Close() }
