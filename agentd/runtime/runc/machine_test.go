package runc_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/rutter-run/rutter/agentd/image"
	"github.com/rutter-run/rutter/agentd/network/cni"
	"github.com/rutter-run/rutter/agentd/runtime/runc"
	"github.com/rutter-run/rutter/agentd/shim"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/testimage"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
)

// TestMain is three programs: a shim where the runtime starts one, the tests in a network namespace of their own, and what starts those.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2:]))
	}
	const inside = "RUTTER_TEST_NETNS"
	if os.Getenv(plainEnv) != "" {
		if err := leaveHybrid(); err != nil {
			fmt.Fprintln(os.Stderr, "cgroups of version 1 alone:", err)
			os.Exit(1)
		}
	}
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	// The bridge and the firewall rules of the tests must not be the machine's.
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in their own network namespace:", err)
		os.Exit(1)
	}
}

// machine is a node's directory and what is around it.
type machine struct {
	dir   string
	image spec.ImageRef
	net   *cni.Network
	store *image.Store
}

func newMachine(t testing.TB, more ...testimage.Entry) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: containers need root")
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	registry, err := testimage.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close() })
	busybox, err := testimage.Busybox(v1.Config{Cmd: []string{"/bin/sh"}, Env: []string{"FROM_IMAGE=yes"}}, more...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := registry.Push(t.Context(), "busybox", "latest", busybox)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: t.TempDir()}
	if m.image, err = spec.ParseImage(text); err != nil {
		t.Fatal(err)
	}
	if m.store, err = image.New(image.Config{Dir: filepath.Join(m.dir, "images"), Insecure: []string{registry.Host}}); err != nil {
		t.Fatal(err)
	}
	m.net, err = cni.New(cni.Config{Dir: filepath.Join(m.dir, "network"), Subnet: netip.MustParsePrefix("10.77.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.net.Reset(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// open makes a runtime on the machine, as an agent that starts does.
func (m *machine) open(t testing.TB) *runc.Runtime {
	t.Helper()
	logger := logrus.New()
	logger.SetOutput(t.Output())
	r, err := runc.New(runc.Config{
		Dir: filepath.Join(m.dir, "node"), Binary: os.Getenv(ociEnv), Images: m.store, Networks: m.net, LogMaxSize: 64 << 10, LogMaxFiles: 100, Log: logrus.NewEntry(logger),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Init(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r
}

// leftovers lists all that containers of the machine have left on it.
func (m *machine) leftovers(t testing.TB) (left []string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, m.dir) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "veth") {
			left = append(left, "link "+l.Name)
		}
	}
	for pid, dir := range workingDirs(t) {
		if strings.HasPrefix(dir, m.dir) {
			left = append(left, "process "+pid+" in "+dir)
		}
	}
	for _, pattern := range []string{"node/containers/*", "node/sandboxes/*", "node/logs/*", "node/oci/*", "node/trash/*", "network/sandboxes/*", "network/netns/*"} {
		files, err := filepath.Glob(filepath.Join(m.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, files...)
	}
	return append(left, runc.CgroupsBelow(filepath.Join(m.dir, "node"))...)
}

// workingDirs are the working directories of all processes; a shim's is its container's.
func workingDirs(t testing.TB) map[string]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{}
	for _, p := range all {
		if dir, err := os.Readlink(p + "/cwd"); err == nil {
			dirs[filepath.Base(p)] = dir
		}
	}
	return dirs
}
