// Package e2e tests the whole as its users have it: the binary's own processes, real containers, real networks, real deaths.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rutter-run/rutter/integration/cluster"
	"github.com/rutter-run/rutter/internal/testimage"
)

const (
	namespace = "rutter-e2e"
	binaryEnv = "RUTTER_E2E_BINARY"
	registry  = "10.77.0.1:5000"
)

// images are what the registry serves.
var images *testimage.Registry

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("e2e: NOT ROOT: the end-to-end tests are SKIPPED; they need namespaces and containers")
		return m.Run()
	}
	if os.Getenv(binaryEnv) == "" {
		dir, err := os.MkdirTemp("", "rutter-e2e-")
		if err != nil {
			return fail(err)
		}
		defer os.RemoveAll(dir)
		binary := filepath.Join(dir, "rutter")
		for _, program := range []string{"rutter", "rutter-shim"} {
			out, err := exec.Command("go", "build", "-o", filepath.Join(dir, program), "github.com/rutter-run/rutter/cmd/"+program).CombinedOutput()
			if err != nil {
				return fail(fmt.Errorf("build: %w: %s", err, out))
			}
		}
		if err := os.Setenv(binaryEnv, binary); err != nil {
			return fail(err)
		}
	}
	entered, code, err := cluster.Enter(namespace)
	if err != nil {
		return fail(err)
	}
	if !entered {
		return code
	}
	if images, err = testimage.Serve(registry); err != nil {
		return fail(err)
	}
	defer images.Close()
	image, err := testimage.Web()
	if err != nil {
		return fail(err)
	}
	if _, err := images.Push(context.Background(), "web", "1", image); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: needs namespaces and containers")
	}
}

func binary() string { return os.Getenv(binaryEnv) }

// start runs a cluster for one test; where the test fails, its processes' logs are kept and named.
func start(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("", "rutter-e2e-cluster-")
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Dir, o.Binary = namespace, dir, binary()
	if o.Runtime == "" {
		o.Runtime = "runc"
	}
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\nlogs are in %s", err, dir)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("clean up: %v", err)
		}
		if t.Failed() {
			t.Logf("logs are in %s", filepath.Join(dir, "logs"))
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return c
}
