// Package runc runs containers with an OCI runtime (runc, or crun) under shims, one for each container.
//
// All that the package knows is on disk below its directory, so that a new Runtime on it goes on where the last one stopped:
//
//	containers/<id>/           one directory for each run of a container, which is its OCI bundle as well
//	  container.json           what was asked for
//	  config.json rootfs upper work
//	  start.json exit.json lock shim.sock   the shim's; see package shim
//	sandboxes/<instance>/      sandbox.json, and the hosts, hostname and resolv.conf of the instance's containers
//	logs/<instance>/           <container>.<run>.log, kept until the sandbox goes
//	oci/                       the OCI runtime's own state
//	trash/                     what is being deleted
//	damaged/                   records that could not be read, set aside
//
// Two agents on one machine have two directories; cgroups and the OCI runtime's state are told apart by them.
package runc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"

	gorunc "github.com/containerd/go-runc"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/sirupsen/logrus"
)

// Images is where root file systems come from.
type Images interface {
	Pull(ctx context.Context, ref spec.ImageRef, progress func(runtime.PullProgress)) (runtime.Image, error)
	List() ([]runtime.Image, error)
	// Collect removes images while the disk is too full, but not those of keep and not those whose digest is in use.
	Collect(ctx context.Context, keep []spec.ImageRef, inUse map[string]bool) ([]runtime.Image, error)
	// Config is the image's own configuration: entrypoint, environment, user.
	Config(image runtime.Image) (v1.ConfigFile, error)
	// Mount puts the image's layers together at target; what is written goes to upper. Mounting twice is no error.
	Mount(image runtime.Image, upper, work, target string) error
	// Unmount undoes Mount; what is not mounted is no error.
	Unmount(target string) error
}

// Networks is where network namespaces come from. Add and Del may be repeated.
type Networks interface {
	Init() error
	Add(ctx context.Context, config runtime.SandboxConfig) (runtime.Sandbox, error)
	Del(ctx context.Context, instance string) error
	List() ([]runtime.Sandbox, error)
}

// Config is what a Runtime needs.
type Config struct {
	Dir          string
	Binary       string   // the OCI runtime, a path or a name to look up; runc where empty
	ShimBinary   []string // the command that calls shim.Main; this program's "shim" where empty
	Images       Images
	Networks     Networks
	LogMaxSize   int64  // bytes of a container's log file; 10 MiB where 0
	LogMaxFiles  int    // of a container's log; 5 where 0
	CgroupParent string // rutter where empty
	Log          *logrus.Entry
}

// Runtime implements runtime.Runtime.
type Runtime struct {
	config Config
	cgroup string // below which every container has its own
	log    *logrus.Entry

	mu      sync.Mutex
	entries map[string]*entry
	version string // of the OCI runtime, once known
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a Runtime on config.Dir. Nothing on the machine is touched before Init.
func New(config Config) (*Runtime, error) {
	if config.Images == nil || config.Networks == nil {
		return nil, errors.New("a container runtime needs images and networks")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("container directory %q: %w", config.Dir, err)
	}
	config.Dir = dir
	if config.Binary == "" {
		config.Binary = "runc"
	}
	if len(config.ShimBinary) == 0 {
		config.ShimBinary = []string{"/proc/self/exe", "shim"}
	}
	if config.LogMaxSize == 0 {
		config.LogMaxSize = 10 << 20
	}
	if config.LogMaxFiles == 0 {
		config.LogMaxFiles = 5
	}
	if config.CgroupParent == "" {
		config.CgroupParent = "rutter"
	}
	if config.Log == nil {
		config.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	// Instances of the same name may run under two agents of one machine.
	sum := sha256.Sum256([]byte(dir))
	return &Runtime{
		config: config, log: config.Log, entries: map[string]*entry{},
		cgroup: path.Join("/", config.CgroupParent, hex.EncodeToString(sum[:4])),
	}, nil
}

// Close lets go of the runtime. Containers go on running under their shims.
func (r *Runtime) Close() error {
	removeEmptyCgroups(r.cgroup)
	return nil
}

func (r *Runtime) path(parts ...string) string {
	return filepath.Join(append([]string{r.config.Dir}, parts...)...)
}

func (r *Runtime) dir(id string) string { return r.path("containers", id) }

func (r *Runtime) cgroupOf(id string) string { return path.Join(r.cgroup, id) }

// oci is the OCI runtime, for what is not the shim's.
func (r *Runtime) oci() *gorunc.Runc {
	return &gorunc.Runc{Command: r.config.Binary, Root: r.path("oci"), LogFormat: gorunc.JSON, Log: os.DevNull}
}

// PullImage implements runtime.Images.
func (r *Runtime) PullImage(ctx context.Context, ref spec.ImageRef, progress func(runtime.PullProgress)) (runtime.Image, error) {
	return r.config.Images.Pull(ctx, ref, progress)
}

// ListImages implements runtime.Images.
func (r *Runtime) ListImages(context.Context) ([]runtime.Image, error) { return r.config.Images.List() }

// CollectImages implements runtime.Images. A container has its image's layers mounted, ended or not.
func (r *Runtime) CollectImages(ctx context.Context, keep []spec.ImageRef) ([]runtime.Image, error) {
	all, err := r.configs(ctx)
	if err != nil {
		return nil, err
	}
	inUse := map[string]bool{}
	for _, c := range all {
		inUse[c.Image.Digest] = true
	}
	return r.config.Images.Collect(ctx, keep, inUse)
}
