package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/integration/cluster"
)

// up runs `rutter up` on a data directory.
type up struct {
	t    *testing.T
	data string
	cmd  *exec.Cmd
}

func (u *up) start() {
	u.t.Helper()
	log, err := os.OpenFile(filepath.Join(u.data, "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		u.t.Fatal(err)
	}
	defer log.Close()
	// No slowness of the machine is taken for the node's death.
	u.cmd = exec.Command(binary(), "up", "--data-dir", u.data, "--node", "solo", "--suspect-after", "30s", "--lost-after", "60s", "--all-silent-after", "90s")
	u.cmd.Stdout, u.cmd.Stderr = log, log
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := u.cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	err = cluster.Until(u.t.Context(), time.Minute, "up to take work", func(context.Context) error {
		out, err := u.cli("get", "nodes", "-o", "json")
		if err == nil && !strings.Contains(out, `"Ready"`) {
			err = errors.New("no node is ready: " + out)
		}
		return err
	})
	if err != nil {
		u.t.Fatal(u.withLog(err))
	}
}

func (u *up) withLog(err error) error {
	log, readErr := os.ReadFile(filepath.Join(u.data, "up.log"))
	return fmt.Errorf("%w\n%s%w", err, log, errors.Join(readErr))
}

// interrupt is a Ctrl-C: it goes to the whole process group.
func (u *up) interrupt() {
	u.t.Helper()
	if err := syscall.Kill(-u.cmd.Process.Pid, syscall.SIGINT); err != nil {
		u.t.Fatal(err)
	}
	if err := u.cmd.Wait(); err != nil {
		u.t.Fatal(u.withLog(fmt.Errorf("up ended badly: %w", err)))
	}
}

func (u *up) cli(args ...string) (string, error) {
	cmd := exec.CommandContext(u.t.Context(), binary(), args...)
	cmd.Env = append(os.Environ(), "RUTTER_CLIENT_CONFIG="+filepath.Join(u.data, "client.json"))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("rutter %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func (u *up) must(args ...string) string {
	u.t.Helper()
	out, err := u.cli(args...)
	if err != nil {
		u.t.Fatal(u.withLog(err))
	}
	return out
}

func (u *up) instances() []api.Instance {
	u.t.Helper()
	var list api.List[api.Instance]
	if err := json.Unmarshal([]byte(u.must("get", "instances", "-o", "json")), &list); err != nil {
		u.t.Fatal(err)
	}
	return list.Items
}

// running names every container by instance, id and process.
func running(all []api.Instance) (names []string) {
	for _, i := range all {
		for _, c := range i.Containers {
			names = append(names, fmt.Sprintf("%s run %d pid %d since %s", i.Name, c.Run, c.PID, c.StartedAt.Format(time.RFC3339Nano)))
		}
	}
	slices.Sort(names)
	return names
}

// TestUpAdoptsItsContainers: what runs goes on running while up is away, and is taken back as it is.
func TestUpAdoptsItsContainers(t *testing.T) {
	u := newUp(t)
	u.start()
	file := filepath.Join(u.data, "web.yaml")
	writeDocument(t, file, "web", 3)
	u.must("apply", "-f", file)
	before := u.instances()
	answers(t, before, 3)
	hashBefore := u.must("replay", "--verify")
	u.interrupt()
	for _, i := range before {
		if err := syscall.Kill(i.Containers[0].PID, 0); err != nil {
			t.Errorf("%s does not run while up is away: %v", i.Name, err)
		}
	}
	u.start()
	after := u.instances()
	answers(t, after, 3)
	if got, want := running(after), running(before); !slices.Equal(got, want) {
		t.Errorf("not adopted:\n got %v\nwant %v", got, want)
	}
	t.Logf("before %s\nafter %s", hashBefore, u.must("replay", "--verify"))
	u.must("delete", "workload", "web")
	if left := u.instances(); len(left) > 0 {
		t.Errorf("after the delete %d instances are left", len(left))
	}
}

func writeDocument(t *testing.T, file, name string, replicas int) {
	t.Helper()
	document := fmt.Sprintf(`{apiVersion: rutter.run/v1, kind: Workload, metadata: {name: %s},
spec: {replicas: %d, gracePeriod: 1s, containers: [{image: "%s/web:1", ports: [{containerPort: 8080}], resources: {limits: {memory: 32Mi}}}]}}`, name, replicas, registry)
	if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answers makes sure that so many instances are ready and that each says its own name.
func answers(t *testing.T, all []api.Instance, want int) {
	t.Helper()
	if len(all) != want {
		t.Fatalf("%d instances, want %d", len(all), want)
	}
	for _, i := range all {
		if i.Phase != spec.PhaseReady || len(i.Addresses) == 0 {
			t.Fatalf("%s is %s (%s) at %v", i.Name, i.Phase, i.Reason, i.Addresses)
		}
		err := cluster.Until(t.Context(), 10*time.Second, i.Name+" to answer", func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.Addresses[0]+":8080/", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if got := strings.TrimSpace(string(body)); err == nil && got != i.Name {
				err = fmt.Errorf("%s answers %q", i.Name, got)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
