package image

import (
	"errors"
	"fmt"
	"os"
	"strings"

	rt "github.com/rutter-run/rutter/agentd/runtime"
	"golang.org/x/sys/unix"
)

// Mount puts the image's layers together at target, with what is written kept in upper. work is overlayfs's own and must lie on the file system of
// upper. Mounting what is mounted changes nothing.
func (s *Store) Mount(image rt.Image, upper, work, target string) error {
	layers, err := s.Layers(image)
	if err != nil {
		return err
	}
	s.touch(image.Digest)
	for _, dir := range []string{upper, work, target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", image.Ref, diskFull(err))
		}
	}
	if mounted(target) {
		return nil
	}
	if len(layers) == 0 {
		layers = []string{s.path("empty")} // an image from scratch: overlayfs wants at least one
	}
	options := "lowerdir=" + strings.Join(layers, ":") + ",upperdir=" + upper + ",workdir=" + work
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("mount %s: %w: %d layers are more than overlayfs takes under %s", image.Ref, rt.ErrBadImage, len(layers), s.config.Dir)
	}
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", image.Ref, diskFull(err))
	}
	return nil
}

// Unmount takes the mount at target away. What is not mounted is no error.
func (s *Store) Unmount(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("unmount %s: %w", target, err)
}

// mounted reports whether target is a mount point of its own: it lies on another device than its parent.
func mounted(target string) bool {
	var here, above unix.Stat_t
	if unix.Stat(target, &here) != nil || unix.Stat(target+"/..", &above) != nil {
		return false
	}
	return here.Dev != above.Dev
}
