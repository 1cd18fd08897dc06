package runc_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/runc"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/testimage"
)

// inside runs containers and reads what they say.
type inside struct {
	*testing.T
	m     *machine
	rt    *runc.Runtime
	image runtime.Image
	runs  int
}

func newInside(t *testing.T, more ...testimage.Entry) *inside {
	m := newMachine(t, more...)
	in := &inside{T: t, m: m, rt: m.open(t)}
	var err error
	if in.image, err = in.rt.PullImage(t.Context(), m.image, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := in.rt.CreateSandbox(t.Context(), runtime.SandboxConfig{Instance: "default.a", Hostname: "a"}); err != nil {
		t.Fatal(err)
	}
	return in
}

func (in *inside) close() {
	in.Helper()
	if err := in.rt.RemoveSandbox(in.Context(), "default.a"); err != nil {
		in.Error(err)
	}
	if left := in.m.leftovers(in.T); len(left) > 0 {
		in.Errorf("left on the machine:\n%s", strings.Join(left, "\n"))
	}
}

// run runs a container to its end and returns what it wrote.
func (in *inside) run(c spec.Container) (output string, status runtime.Status, bundle specs.Spec) {
	in.Helper()
	in.runs++
	id := "default.a.main." + string(rune('0'+in.runs))
	must := func(err error) {
		in.Helper()
		if err != nil {
			in.Fatal(err)
		}
	}
	c.Name = "main"
	ctx := in.Context()
	must(in.rt.Create(ctx, runtime.ContainerConfig{ID: id, Instance: "default.a", Spec: c, Image: in.image}))
	_, err := in.rt.Start(ctx, id)
	must(err)
	status, err = in.rt.Wait(ctx, id)
	must(err)
	must(in.rt.Logs(ctx, id, runtime.LogOptions{Tail: -1}, func(l runtime.LogLine) error {
		output += string(l.Text) + "\n"
		return nil
	}))
	data, err := os.ReadFile(filepath.Join(in.m.dir, "node", "containers", id, "config.json"))
	must(err)
	must(json.Unmarshal(data, &bundle))
	must(in.rt.Remove(ctx, id))
	return output, status, bundle
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

// TestDefaultsAreSafe looks at a container that asks for nothing, from within.
func TestDefaultsAreSafe(t *testing.T) {
	in := newInside(t)
	defer in.close()
	out, _, bundle := in.run(spec.Container{Command: sh(`
		grep -E '^(CapBnd|CapEff|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
		cat /proc/self/oom_score_adj; hostname; id -u; pwd; echo $PATH; echo $HOSTNAME; echo $FROM_IMAGE
		touch /proc/sys/kernel/hostname && echo x >/proc/sys/kernel/hostname || echo sys-ro
		mkdir /sys/x 2>/dev/null || echo sysfs-ro
		cat /proc/kcore | head -c 1 | wc -c
		mount -t tmpfs none /mnt 2>/dev/null || echo no-mount
		unshare -U true 2>/dev/null || echo no-userns
		mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo cgroup-ro
		ls -d /dev/shm /dev/mqueue /dev/pts; ls /sys/class/net | tr '\n' ' '`)})
	// containerd's fourteen capabilities, as a mask.
	for _, want := range []string{
		"CapBnd:\t00000000a80425fb", "CapEff:\t00000000a80425fb", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1", "Seccomp:\t2", "\n1000\na\n0\n/\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\na\nyes\n",
		"sys-ro", "sysfs-ro", "\n0\nno-mount", "no-userns", "cgroup-ro", "/dev/mqueue\n/dev/pts\n/dev/shm", "eth0 lo",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if bundle.Linux.Seccomp == nil || bundle.Linux.Resources.Pids == nil || *bundle.Linux.Resources.Pids.Limit != 4096 {
		t.Errorf("no seccomp profile or limit of processes: %+v", bundle.Linux)
	}
}

// TestSecurityContext holds what a container may ask for.
func TestSecurityContext(t *testing.T) {
	in := newInside(t)
	defer in.close()
	status := "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; id; touch /file && echo wrote; touch /etc/hosts && echo wrote hosts"
	out, _, _ := in.run(spec.Container{Command: sh(status), SecurityContext: spec.SecurityContext{
		Capabilities: spec.Capabilities{Drop: []string{"ALL"}, Add: []string{"NET_ADMIN"}},
		Seccomp:      spec.SeccompUnconfined, ReadOnlyRootFilesystem: true, AllowPrivilegeEscalation: true,
	}})
	for _, want := range []string{"CapEff:\t0000000000001000", "NoNewPrivs:\t0", "Seccomp:\t0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "wrote") {
		t.Errorf("it wrote to a file system that is read-only:\n%s", out)
	}
	for user, want := range map[string]string{
		"nobody": "uid=65534(nobody)", "daemon:root": "gid=0(root)", "12345": "uid=12345 gid=0(root)", "12345:678": "uid=12345 gid=678",
	} {
		out, _, _ := in.run(spec.Container{Command: sh("id; grep CapEff /proc/self/status"), SecurityContext: spec.SecurityContext{User: user}})
		if !strings.Contains(out, want) || !strings.Contains(out, "CapEff:\t0000000000000000") {
			t.Errorf("user %s: %s", user, out)
		}
	}
}

// TestLimitsReachTheKernel reads them back from the container's cgroup, through the bundle on version 2.
func TestLimitsReachTheKernel(t *testing.T) {
	in := newInside(t)
	defer in.close()
	requirements := spec.Requirements{
		Requests: spec.Resources{CPU: 250, Memory: 32 << 20}, Limits: spec.Resources{CPU: 500, Memory: 64 << 20},
	}
	out, _, bundle := in.run(spec.Container{Resources: requirements, Command: sh(`cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us pids/pids.max`)})
	r := bundle.Linux.Resources
	if *r.Memory.Limit != 64<<20 || *r.CPU.Shares != 256 || *r.CPU.Quota != 50_000 || *r.CPU.Period != 100_000 {
		t.Errorf("memory %v, cpu %+v", *r.Memory.Limit, r.CPU)
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); errors.Is(err, os.ErrNotExist) && out != "67108864\n256\n50000\n4096\n" {
		t.Errorf("in the cgroup: %q", out)
	}
	if score := *bundle.Process.OOMScoreAdj; score < 3 || score > 999 {
		t.Errorf("a container with some memory reserved has the score %d", score)
	}
}

// TestHostileImage has the user databases point out of the image.
func TestHostileImage(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(secret, []byte("root:x:4242:4242::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := func(name, to string) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}}
	}
	in := newInside(t, link("etc/passwd", secret), link("etc/group", "../../../../../../../../etc/none"))
	defer in.close()
	out, _, _ := in.run(spec.Container{Command: sh("id -u"), SecurityContext: spec.SecurityContext{User: "0"}})
	if out != "0\n" {
		t.Errorf("a user from outside of the image: %q", out)
	}
	err := in.rt.Create(t.Context(), runtime.ContainerConfig{
		ID: "default.a.main.x", Instance: "default.a", Image: in.image,
		Spec: spec.Container{Name: "main", Command: sh("id"), SecurityContext: spec.SecurityContext{User: "root"}},
	})
	if !errors.Is(err, runtime.ErrBadConfig) {
		t.Errorf("a name that only a file outside of the image has: %v", err)
	}
	if err := in.rt.Remove(t.Context(), "default.a.main.x"); err != nil {
		t.Error(err)
	}
}

// TestShimStandsApart is what lets it outlive the agent.
func TestShimStandsApart(t *testing.T) {
	in := newInside(t)
	defer in.close()
	id := "default.a.main.1"
	config := runtime.ContainerConfig{ID: id, Instance: "default.a", Image: in.image, Spec: spec.Container{Name: "main", Command: sh("sleep 1000")}}
	if err := in.rt.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := in.rt.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for pid, dir := range workingDirs(t) {
		if !strings.HasSuffix(dir, "/containers/"+id) {
			continue
		}
		found++
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		session := func(stat []byte) string { return strings.Fields(string(stat[slices.Index(stat, ')')+1:]))[3] }
		if session(stat) == session(own) {
			t.Error("the shim is in the agent's session")
		}
	}
	if found != 1 {
		t.Errorf("%d shims", found)
	}
	if err := in.rt.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
}
