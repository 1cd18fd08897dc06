package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/integration/cluster"
)

// The time-outs are long because machines may be slow; what is asked for comes by files in the container.
const probedDocument = `{apiVersion: rutter.run/v1, kind: Workload, metadata: {name: probed},
spec: {replicas: 1, gracePeriod: 1s, containers: [{image: "%s/web:1", ports: [{name: web, containerPort: 8080}], resources: {limits: {memory: 32Mi}},
  startupProbe: {tcpSocket: {port: web}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 600},
  readinessProbe: {httpGet: {port: web, path: /ready}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1},
  livenessProbe: {exec: {command: [sh, -c, "test ! -e /www/hang || { echo it hangs; exit 7; }"]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 2}}]}}`

// TestProbesOfRealContainers: what a container answers makes it ready, unhealthy and run again, and the log says why.
func TestProbesOfRealContainers(t *testing.T) {
	u := newUp(t)
	u.start()
	file := filepath.Join(u.data, "probed.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, probedDocument, registry), 0o644); err != nil {
		t.Fatal(err)
	}
	u.must("apply", "-f", file, "--wait=false")
	until := func(what string, holds func(i api.Instance) bool) api.Instance {
		t.Helper()
		var last api.Instance
		err := cluster.Until(t.Context(), time.Minute, what, func(context.Context) error {
			for _, last = range u.instances() {
				if holds(last) {
					return nil
				}
			}
			return fmt.Errorf("%s is %s: %s", last.Name, last.Phase, last.Reason)
		})
		if err != nil {
			t.Fatal(u.withLog(err))
		}
		return last
	}
	in := func(command string) { u.must("exec", "probed-0-1", "--", "sh", "-c", command) }

	until("a container that is not ready", func(i api.Instance) bool { return i.Phase == spec.PhaseUnhealthy && strings.Contains(i.Reason, "404") })
	in("touch /www/ready")
	until("a ready container", func(i api.Instance) bool { return i.Phase == spec.PhaseReady })
	in("rm /www/ready")
	until("an unhealthy container", func(i api.Instance) bool { return i.Phase == spec.PhaseUnhealthy })
	in("touch /www/ready /www/hang")
	again := until("the next run", func(i api.Instance) bool { return len(i.Containers) == 1 && i.Containers[0].Run == 2 })
	exit := again.Containers[0].LastExit
	if exit == nil || exit.Reason != report.ReasonProbeFailed || !strings.Contains(exit.Message, "liveness probe failed 2 times: sh ended with code 7: it hangs") {
		t.Errorf("the first run ended like this: %+v", exit)
	}
	in("touch /www/ready")
	until("a ready container again", func(i api.Instance) bool { return i.Phase == spec.PhaseReady })
	why := u.must("why", "instance/probed-0-1")
	// Long lines are broken, with the tree's own lines between.
	if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(why, "│", "")), " "), "because a probe failed: liveness probe failed 2 times") {
		t.Errorf("why does not name the probe:\n%s", why)
	}
	u.must("delete", "workload", "probed")
}
