package runc_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// BenchmarkStart is one container from nothing to running, its network included, and away again; stages are reported each.
func BenchmarkStart(b *testing.B) {
	m := newMachine(b)
	rt := m.open(b)
	image, err := rt.PullImage(b.Context(), m.image, nil)
	if err != nil {
		b.Fatal(err)
	}
	names := []string{"sandbox", "create", "start", "remove", "unsandbox"}
	spent := make([]time.Duration, len(names))
	for i := range b.N {
		instance := fmt.Sprintf("default.b%d", i)
		id := instance + ".main.1"
		for j, step := range []func() error{
			func() error {
				_, err := rt.CreateSandbox(b.Context(), runtime.SandboxConfig{Instance: instance})
				return err
			},
			func() error {
				return rt.Create(b.Context(), runtime.ContainerConfig{
					ID: id, Instance: instance, Image: image, Spec: spec.Container{Name: "main", Command: []string{"sleep", "1000"}},
				})
			},
			func() error { _, err := rt.Start(b.Context(), id); return err },
			func() error { return rt.Remove(b.Context(), id) },
			func() error { return rt.RemoveSandbox(b.Context(), instance) },
		} {
			begin := time.Now()
			if err := step(); err != nil {
				b.Fatal(err)
			}
			spent[j] += time.Since(begin)
		}
	}
	for j, name := range names {
		b.ReportMetric(float64(spent[j].Microseconds())/1000/float64(b.N), "ms-"+name)
	}
	b.ReportMetric(float64((spent[0]+spent[1]+spent[2]).Microseconds())/1000/float64(b.N), "ms-to-running")
}

// BenchmarkFloor is the same container without us: the network, the overlay and the OCI runtime's own command line.
func BenchmarkFloor(b *testing.B) {
	m := newMachine(b)
	rt := m.open(b)
	image, err := rt.PullImage(b.Context(), m.image, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := rt.CreateSandbox(b.Context(), runtime.SandboxConfig{Instance: "default.model"}); err != nil {
		b.Fatal(err)
	}
	const model = "default.model.main.1"
	err = rt.Create(b.Context(), runtime.ContainerConfig{
		ID: model, Instance: "default.model", Image: image, Spec: spec.Container{Name: "main", Command: []string{"sleep", "1000"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(m.dir, "node/containers", model, "config.json"))
	if err != nil {
		b.Fatal(err)
	}
	var bundle specs.Spec
	if err := json.Unmarshal(data, &bundle); err != nil {
		b.Fatal(err)
	}
	if err := rt.Remove(b.Context(), model); err != nil {
		b.Fatal(err)
	}
	root := filepath.Join(m.dir, "raw-oci")
	run := func(args ...string) error {
		cmd := exec.Command("runc", append([]string{"--root", root}, args...)...)
		return cmd.Run()
	}
	var network, oci time.Duration
	for i := range b.N {
		name := fmt.Sprintf("default.raw%d", i)
		dir := filepath.Join(m.dir, "raw", name)
		begin := time.Now()
		sandbox, err := m.net.Add(b.Context(), runtime.SandboxConfig{Instance: name})
		if err != nil {
			b.Fatal(err)
		}
		network += time.Since(begin)
		begin = time.Now()
		if err := m.store.Mount(image, dir+"/upper", dir+"/work", dir+"/rootfs"); err != nil {
			b.Fatal(err)
		}
		bundle.Linux.CgroupsPath = "/rutter-floor/" + name
		for j := range bundle.Linux.Namespaces {
			if bundle.Linux.Namespaces[j].Type == specs.NetworkNamespace {
				bundle.Linux.Namespaces[j].Path = sandbox.NetNSPath
			}
		}
		data, err := json.Marshal(bundle)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(dir+"/config.json", data, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := run("run", "--detach", "--bundle", dir, name); err != nil {
			b.Fatal(err)
		}
		oci += time.Since(begin)
		if err := run("delete", "--force", name); err != nil {
			b.Fatal(err)
		}
		if err := m.store.Unmount(dir + "/rootfs"); err != nil {
			b.Fatal(err)
		}
		if err := m.net.Del(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
	if err := rt.RemoveSandbox(b.Context(), "default.model"); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(network.Microseconds())/1000/float64(b.N), "ms-network")
	b.ReportMetric(float64(oci.Microseconds())/1000/float64(b.N), "ms-oci")
	b.ReportMetric(float64((network+oci).Microseconds())/1000/float64(b.N), "ms-to-running")
}
