package e2e

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/internal/testimage"
)

// TestBadInputHarmsNobody: what cannot be run is refused, or fails with its reason, and a healthy workload beside it never notices.
func TestBadInputHarmsNobody(t *testing.T) {
	c := start(t, cluster.Options{Servers: 1, Nodes: 1})
	door, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	healthy := document(t, "healthy", 1)
	if _, err := door.Apply(t.Context(), healthy, client.Options{}); err != nil {
		t.Fatal(err)
	}
	before := awaitReady(t, door, "healthy")

	t.Run("refused at the door", func(t *testing.T) { refusedAtTheDoor(t, door) })
	t.Run("failed on the node", func(t *testing.T) { failedOnTheNode(t, door) })
	t.Run("no room", func(t *testing.T) { noRoom(t, door) })
	t.Run("malformed files", func(t *testing.T) { malformedFiles(t, c) })

	if after := awaitReady(t, door, "healthy"); after.Containers[0].PID != before.Containers[0].PID || after.Restarts != 0 {
		t.Errorf("the healthy workload was harmed: %+v, before %+v", after.Containers, before.Containers)
	}
	if out, err := c.CLI(t.Context(), "replay", "--verify"); err != nil {
		t.Errorf("replay: %v\n%s", err, out)
	}
}

// awaitReady returns the only instance of a workload once it is ready.
func awaitReady(t *testing.T, door *client.Client, name string) (found api.Instance) {
	t.Helper()
	err := cluster.Until(t.Context(), time.Minute, name+" to be ready", func(ctx context.Context) error {
		list, err := door.Instances(ctx, client.Selection{Workload: name})
		if err != nil {
			return err
		}
		for _, i := range list.Items {
			if found = i; i.Phase == spec.PhaseReady {
				return nil
			}
		}
		return fmt.Errorf("%d instances, the last %s: %s", len(list.Items), found.Phase, found.Reason)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func withImage(t *testing.T, name, image string) spec.Workload {
	t.Helper()
	w := document(t, name, 1)
	ref, err := spec.ParseImage(image)
	if err != nil {
		t.Fatal(err)
	}
	w.Spec.Containers[0].Image = ref
	return w
}

func refusedAtTheDoor(t *testing.T, door *client.Client) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := closed.Addr().String()
	closed.Close()
	for name, test := range map[string]struct {
		w      spec.Workload
		status int
		says   string
	}{
		"an image that nobody has":     {withImage(t, "bad", registry+"/nobody:1"), http.StatusUnprocessableEntity, "spec.containers[0].image"},
		"a tag that nobody has":        {withImage(t, "bad", registry+"/web:none"), http.StatusUnprocessableEntity, "web:none"},
		"a registry that does not run": {withImage(t, "bad", dead+"/web:1"), http.StatusServiceUnavailable, dead},
		"replicas below zero":          {changed(document(t, "bad", -1), nil), http.StatusUnprocessableEntity, "spec.replicas"},
		"a request above its limit": {changed(document(t, "bad", 1), func(w *spec.Workload) {
			w.Spec.Containers[0].Resources.Requests.Memory = 1 << 40
		}), http.StatusUnprocessableEntity, "resources.requests.memory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := door.Apply(t.Context(), test.w, client.Options{})
			var problem *api.Problem
			if !errors.As(err, &problem) {
				t.Fatalf("got %v, want a problem", err)
			}
			if problem.Status != test.status || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %d %q, want %d and %q", problem.Status, err, test.status, test.says)
			}
			if _, err := door.Workload(t.Context(), spec.DefaultNamespace, "bad", 0); err == nil {
				t.Error("it exists all the same")
			}
		})
	}
}

func changed(w spec.Workload, change func(*spec.Workload)) spec.Workload {
	if change != nil {
		change(&w)
	}
	return w
}

func failedOnTheNode(t *testing.T, door *client.Client) {
	push := func(name string, entries ...testimage.Entry) string {
		layer, err := testimage.Layer(entries...)
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := images.Push(t.Context(), name, "1", image)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(w spec.Workload, args ...string) spec.Workload {
		w.Spec.Containers[0].Command = args
		return w
	}
	up := strings.Repeat("../", 40)
	for name, test := range map[string]struct {
		w    spec.Workload
		says string
	}{
		"a layer that climbs": {
			withImage(t, "climbs", push("climbs", testimage.File(up+canary, 0o644, "owned"))), "leads out of the image",
		},
		"a hard link that climbs": {
			withImage(t, "links", push("links", testimage.Entry{Header: tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: up + canary}})), "leads out of the image",
		},
		"a device": {
			withImage(t, "device", push("device", testimage.Entry{Header: tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 254}})), "device",
		},
		"a digest that nobody has": {
			withImage(t, "digest", registry+"/web@sha256:"+strings.Repeat("0", 64)), "ImageNotFound",
		},
		"an image without a program": {
			withImage(t, "empty", push("noprogram", testimage.File("f", 0o644, ""))), "BadConfig",
		},
		"a program that is not there": {command(document(t, "noprogram", 1), "/no/such/program"), "BadConfig"},
		"a program that is a folder":  {command(document(t, "folder", 1), "/www"), "BadConfig"},
		"a user that is not there": {changed(document(t, "nouser", 1), func(w *spec.Workload) {
			w.Spec.Containers[0].SecurityContext.User = "nobodyatall"
		}), "BadConfig"},
		"more memory than its limit": {changed(command(document(t, "oom", 1), "/bin/sh", "-c", "x=a; while true; do x=$x$x; done"), func(w *spec.Workload) {
			memory := &w.Spec.Containers[0].Resources
			memory.Limits.Memory, memory.Requests.Memory, w.Spec.RestartPolicy = 8<<20, 8<<20, spec.RestartNever
		}), "out of memory"},
		"a program that fails": {changed(command(document(t, "exits", 1), "/bin/sh", "-c", "exit 3"), func(w *spec.Workload) {
			w.Spec.RestartPolicy = spec.RestartNever
		}), "code 3"},
		"a program that fails again and again": {command(document(t, "loops", 1), "/bin/sh", "-c", "exit 4"), "code 4"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := door.Apply(t.Context(), test.w, client.Options{}); err != nil {
				t.Fatal(err)
			}
			name := test.w.Metadata.Name
			err := cluster.Until(t.Context(), 30*time.Second, name+" to say what is wrong", func(ctx context.Context) error {
				list, err := door.Instances(ctx, client.Selection{Workload: name, Gone: true})
				if err != nil {
					return err
				}
				said := []string{}
				for _, i := range list.Items {
					if strings.Contains(i.Reason, test.says) {
						return nil
					}
					said = append(said, string(i.Phase)+": "+i.Reason)
				}
				return fmt.Errorf("want %q, got %q", test.says, said)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := door.Delete(t.Context(), spec.DefaultNamespace, name, client.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	if got, err := os.ReadFile(canary); err != nil || string(got) != "untouched" {
		t.Errorf("the host was touched: %q, %v", got, err)
	}
}

// noRoom asks for what no node has: it waits, and says why, filter by filter.
func noRoom(t *testing.T, door *client.Client) {
	for name, test := range map[string]struct {
		change func(*spec.Workload)
		says   string
	}{
		"cpu":      {func(w *spec.Workload) { w.Spec.Containers[0].Resources.Requests.CPU = 1_000_000 }, "cpu"},
		"gpu":      {func(w *spec.Workload) { w.Spec.Containers[0].Resources.Requests.GPU = 8 * spec.Device }, "gpu"},
		"no-label": {func(w *spec.Workload) { w.Spec.NodeSelector = map[string]string{"disk": "none"} }, "disk=none"},
		"host-port": {func(w *spec.Workload) {
			two := 2
			w.Spec.Replicas = &two
			w.Spec.Containers[0].Ports = []spec.Port{{ContainerPort: 8080, HostPort: 18080, Protocol: spec.TCP}}
		}, "tcp/18080"},
	} {
		t.Run(name, func(t *testing.T) {
			w := changed(document(t, name, 1), test.change)
			if _, err := door.Apply(t.Context(), w, client.Options{}); err != nil {
				t.Fatal(err)
			}
			err := cluster.Until(t.Context(), 20*time.Second, name+" to say what is short", func(ctx context.Context) error {
				list, err := door.Instances(ctx, client.Selection{Workload: name})
				if err != nil {
					return err
				}
				said := []string{}
				for _, i := range list.Items {
					if i.Phase == spec.PhasePending && strings.Contains(i.Reason, test.says) {
						return nil
					}
					said = append(said, string(i.Phase)+": "+i.Reason)
				}
				return fmt.Errorf("want %q, got %q", test.says, said)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := door.Delete(t.Context(), spec.DefaultNamespace, name, client.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// malformedFiles goes through the command line, as a person's slips do.
func malformedFiles(t *testing.T, c *cluster.Cluster) {
	for name, test := range map[string]struct{ file, says string }{
		"no YAML":          {"{", "YAML"},
		"nothing":          {"", "no document"},
		"an unknown field": {"apiVersion: rutter.run/v1\nkind: Workload\nmetadata: {name: x}\nspec: {containers: [{image: a, imagee: b}]}", "imagee"},
		"another kind":     {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {containers: [{image: a}]}", "kind"},
		"a field twice":    {"apiVersion: rutter.run/v1\nkind: Workload\nmetadata: {name: x, name: y}\nspec: {containers: [{image: a}]}", "name"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(file, []byte(test.file), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := c.CLI(t.Context(), "apply", "-f", file)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() == 0 {
				t.Fatalf("got %v and %q, want a failure", err, out)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
		})
	}
}
