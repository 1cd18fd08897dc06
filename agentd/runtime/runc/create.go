package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
)

// cleanUp is how long the taking back of what came to nothing may last. What is left then is found by the next Create or Remove.
const cleanUp = 10 * time.Second

// Create implements runtime.Containers: root file system, bundle and shim; the OCI runtime is called once, by Start.
func (r *Runtime) Create(ctx context.Context, config runtime.ContainerConfig) error {
	if !fileName(config.ID) || !fileName(config.Instance) {
		return fmt.Errorf("create %q in %q: %w: both names must be usable as file names", config.ID, config.Instance, runtime.ErrBadConfig)
	}
	e := r.entry(config.ID)
	e.verb.Lock()
	defer e.verb.Unlock()
	rec, made, err := r.wanted(ctx, config)
	if err != nil {
		return fmt.Errorf("create %s: %w", config.ID, diskFull(err)) // what could not be looked at may run, and stays
	}
	if made {
		return nil
	}
	if err = ctx.Err(); err == nil {
		err = r.prepare(rec)
	}
	if err != nil {
		err = fmt.Errorf("create %s: %w", config.ID, diskFull(err))
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		return errors.Join(err, r.dispose(ctx, config.ID))
	}
	return nil
}

// wanted is the record of what is to be made; made says that it was made before.
func (r *Runtime) wanted(ctx context.Context, config runtime.ContainerConfig) (rec *record, made bool, err error) {
	rec, err = r.record(config.ID)
	if errors.Is(err, errDamaged) {
		if err := r.salvage(ctx, config.ID); err != nil {
			return nil, false, err
		}
		rec, err = r.record(config.ID)
	}
	switch {
	case err == nil:
		s, err := shim.Inspect(r.dir(config.ID))
		return rec, err == nil && (s.Phase != shim.Unstarted || s.Alive), err
	case errors.Is(err, runtime.ErrNotFound):
		return &record{Config: config}, false, nil
	default:
		return nil, false, err
	}
}

// prepare makes all that Start needs. What was made by an earlier attempt is used again.
func (r *Runtime) prepare(rec *record) error {
	config, dir := rec.Config, r.dir(rec.Config.ID)
	sandbox, err := r.sandbox(config.Instance)
	if err != nil {
		return err
	}
	log := r.logPath(config.Instance, config.ID)
	for _, d := range []string{dir, filepath.Dir(log)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	// First of all the record, so that whatever a crash leaves is listed. It has all that a later attempt needs.
	if err := shim.WriteRecord(filepath.Join(dir, recordFile), rec, false); err != nil {
		return err
	}
	// The shim starts while the bundle is made.
	ready, err := shim.Spawn(r.config.ShimBinary, dir, shim.Config{
		ID: config.ID, Runtime: r.config.Binary, Root: r.path("oci"), Log: log,
		LogMaxSize: r.config.LogMaxSize, LogMaxFiles: r.config.LogMaxFiles,
		Cgroup: r.cgroupOf(config.ID), OwnCgroup: r.cgroup + "/shims",
	})
	if err != nil {
		return err
	}
	err = r.bundle(rec, sandbox)
	return errors.Join(err, ready())
}

// bundle mounts the root file system and writes the OCI specification.
func (r *Runtime) bundle(rec *record, sandbox sandbox) error {
	dir := r.dir(rec.Config.ID)
	rootfs := filepath.Join(dir, "rootfs")
	if err := r.config.Images.Mount(rec.Config.Image, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), rootfs); err != nil {
		return err
	}
	image, err := r.config.Images.Config(rec.Config.Image)
	if err != nil {
		return err
	}
	oci, err := build(input{
		config: rec.Config, image: image.Config, rootfs: rootfs, cgroup: r.cgroupOf(rec.Config.ID),
		sandbox: sandbox, etc: r.path("sandboxes", rec.Config.Instance), node: thisNode(),
	})
	if err != nil {
		return err
	}
	signal := rec.Config.Spec.StopSignal
	if signal == "" {
		signal = image.Config.StopSignal
	}
	if signal != "" {
		if _, err := parseSignal(signal); err != nil {
			return err
		}
	}
	if signal != rec.StopSignal {
		rec.StopSignal = signal
		if err := shim.WriteRecord(filepath.Join(dir, recordFile), rec, false); err != nil {
			return err
		}
	}
	return shim.WriteRecord(filepath.Join(dir, "config.json"), oci, false)
}
