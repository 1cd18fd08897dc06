package spec_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/spec"
)

const probed = `
apiVersion: rutter.run/v1
kind: Workload
metadata: {name: web}
spec:
  containers:
    - image: nginx:1
      ports: [{name: web, containerPort: 8080}]
      readinessProbe: {httpGet: {port: web}}
      livenessProbe: {exec: {command: [check]}, initialDelaySeconds: 5, periodSeconds: 2, timeoutSeconds: 3, failureThreshold: 1}
      startupProbe: {grpc: {port: 9000, service: db}}
`

func TestProbeDefaults(t *testing.T) {
	var w spec.Workload
	require.NoError(t, spec.DecodeStrict([]byte(probed), &w))
	w.Default()
	require.NoError(t, w.Validate())
	c := w.Spec.Containers[0]
	require.Equal(t, &spec.Probe{
		HTTPGet:       &spec.HTTPProbe{Path: "/", Port: "web", Scheme: spec.SchemeHTTP},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}, c.ReadinessProbe)
	require.Equal(t, &spec.Probe{
		Exec:                &spec.ExecProbe{Command: []string{"check"}},
		InitialDelaySeconds: 5, PeriodSeconds: 2, TimeoutSeconds: 3, SuccessThreshold: 1, FailureThreshold: 1,
	}, c.LivenessProbe)
	require.Equal(t, 8080, c.ReadinessProbe.HTTPGet.Port.Number(c.Ports))
	require.Equal(t, 9000, c.StartupProbe.GRPC.Port.Number(c.Ports))
	data, err := json.Marshal(c.StartupProbe.GRPC)
	require.NoError(t, err)
	require.JSONEq(t, `{"port":9000,"service":"db"}`, string(data), "a number stays one")
}

func TestProbeFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "spec.containers[0].readinessProbe: \"0\": want exactly one of",
		`{exec: {command: [a]}, tcpSocket: {port: 1}}`:      "exactly one of exec, httpGet, tcpSocket and grpc",
		`{exec: {command: []}}`:                             "readinessProbe.exec.command: want a program",
		`{tcpSocket: {port: 0}}`:                            "readinessProbe.tcpSocket.port: \"0\": want a port from 1 to 65535",
		`{tcpSocket: {port: admin}}`:                        "readinessProbe.tcpSocket.port: \"admin\": want a port's number, or the name",
		`{tcpSocket: {port: [1]}}`:                          "readinessProbe.tcpSocket.port",
		`{httpGet: {port: web, path: health}}`:              "readinessProbe.httpGet.path: \"health\": want a path",
		`{httpGet: {port: web, scheme: FTP}}`:               "readinessProbe.httpGet.scheme: \"FTP\": want HTTP or HTTPS",
		`{httpGet: {port: web, host: "a:80"}}`:              "readinessProbe.httpGet.host",
		`{httpGet: {port: web, httpHeaders: [{name: ""}]}}`: "readinessProbe.httpGet.httpHeaders[0]",
		`{tcpSocket: {port: web}, periodSeconds: -1}`:       "readinessProbe.periodSeconds: \"-1\": want 1 to",
		`{tcpSocket: {port: web}, failureThreshold: -2}`:    "readinessProbe.failureThreshold",
		`{tcpSocket: {port: web}, initialDelaySeconds: -2}`: "readinessProbe.initialDelaySeconds",
		`{tcpSocket: {port: web}, interval: 5}`:             "readinessProbe.interval: no such field",
	} {
		doc := "apiVersion: rutter.run/v1\nkind: Workload\nmetadata: {name: web}\nspec: {containers: [{image: nginx, ports: [{name: web, containerPort: 80}], readinessProbe: " + text + "}]}"
		var w spec.Workload
		err := spec.DecodeStrict([]byte(doc), &w)
		if err == nil {
			w.Default()
			err = w.Validate()
		}
		require.ErrorContains(t, err, want, text)
	}
	for _, kind := range []string{"livenessProbe", "startupProbe"} {
		doc := "apiVersion: rutter.run/v1\nkind: Workload\nmetadata: {name: web}\nspec: {containers: [{image: nginx, " + kind + ": {tcpSocket: {port: 80}, successThreshold: 2}}]}"
		var w spec.Workload
		require.NoError(t, spec.DecodeStrict([]byte(doc), &w))
		w.Default()
		require.ErrorContains(t, w.Validate(), kind+".successThreshold: \"2\": want 1")
	}
}

func TestPreStop(t *testing.T) {
	parse := func(hook string) error {
		doc := "apiVersion: rutter.run/v1\nkind: Workload\nmetadata: {name: web}\nspec: {containers: [{image: nginx, ports: [{name: web, containerPort: 80}], lifecycle: {preStop: " + hook + "}}]}"
		var w spec.Workload
		if err := spec.DecodeStrict([]byte(doc), &w); err != nil {
			return err
		}
		w.Default()
		return w.Validate()
	}
	for _, good := range []string{"{sleep: {seconds: 5}}", "{exec: {command: [bye]}}", "{httpGet: {port: web, path: /bye}}", "{httpGet: {port: 80}}"} {
		require.NoError(t, parse(good), good)
	}
	for bad, want := range map[string]string{
		"{}": "lifecycle.preStop: \"0\": want exactly one of exec, httpGet and sleep", "{sleep: {seconds: 0}}": "lifecycle.preStop.sleep.seconds: \"0\": want 1 to 3600",
		"{sleep: {seconds: 1}, exec: {command: [a]}}": "exactly one of", "{exec: {command: []}}": "lifecycle.preStop.exec.command: want a program",
		"{httpGet: {port: admin}}": "lifecycle.preStop.httpGet.port", "{tcpSocket: {port: 80}}": "no such field",
	} {
		require.ErrorContains(t, parse(bad), want, bad)
	}
}
