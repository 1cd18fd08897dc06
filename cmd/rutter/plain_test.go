package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nothing goes over a network in the clear, whatever a command is told to listen on or to speak to, and each says what would be right.
func TestPlainAddressesBeyondThisMachineAreRefused(t *testing.T) {
	data := t.TempDir()
	t.Setenv("RUTTER_CLIENT_CONFIG", filepath.Join(data, "none.json"))
	require.NoError(t, initDeployment(filepath.Join(data, "keys"), nil, "http://127.0.0.1:7480", filepath.Join(data, "client.json")))
	listens := []string{":0", "0.0.0.0:0", "[::]:0", "10.0.0.1:0", "gateway.example.org:0"}
	keys := []string{"--keys", filepath.Join(data, "keys")}
	type refusal struct {
		args   []string
		remedy string
	}
	var all []refusal
	for _, listen := range listens {
		all = append(all, refusal{append([]string{"gateway", "--listen", listen}, keys...), "--tls-cert"},
			refusal{[]string{"up", "--runtime", "sim", "--data-dir", filepath.Join(data, "up"), "--listen", listen}, "--tls-cert"},
			refusal{[]string{"up", "--runtime", "sim", "--data-dir", filepath.Join(data, "up"), "--health-address", listen}, "--health-tls-cert"},
			refusal{[]string{"agentd", "--runtime", "sim", "--data-dir", filepath.Join(data, "node"), "--health-address", listen}, "--health-tls-cert"})
		for _, service := range []string{"gateway", "reconciler", "scheduler", "node-health", "auditor"} {
			all = append(all, refusal{append([]string{service, "--health-address", listen}, keys...), "--health-tls-cert"})
		}
	}
	for _, host := range []string{"0.0.0.0", "::", "10.0.0.1", "nats.example.org"} {
		all = append(all, refusal{append([]string{"nats", "--data-dir", filepath.Join(data, "nats"), "--host", host}, keys...), "rutter init --host"})
	}
	for _, url := range []string{"nats://10.0.0.1:4222", "10.0.0.1:4222", "nats://[::]:4222", "nats://nats.example.org:4222", "nats://127.0.0.1:4222,nats://10.0.0.1:4222"} {
		for _, service := range []string{"gateway", "reconciler", "scheduler", "node-health", "auditor"} {
			all = append(all, refusal{append([]string{service, "--nats-url", url}, keys...), "tls://"})
		}
		all = append(all, refusal{[]string{"agentd", "--runtime", "sim", "--data-dir", filepath.Join(data, "node"), "--nats-url", url, "--join-token-file", filepath.Join(data, "keys", "join.token")}, "tls://"})
	}
	for _, address := range []string{"http://10.0.0.1:7480", "10.0.0.1:7480", "http://0.0.0.0:7480", "http://[::]:7480", "http://gateway.example.org"} {
		all = append(all, refusal{[]string{"get", "workloads", "--address", address, "--token", "x"}, "https://"},
			refusal{[]string{"init", "--dir", filepath.Join(data, "other"), "--gateway", address}, "https://"})
	}
	for _, r := range all {
		var out bytes.Buffer
		root := newRootCommand(&cli{in: strings.NewReader(""), out: &out, err: &out, now: time.Now}, serverCommands()...)
		root.SetArgs(r.args)
		root.SetOut(&out)
		root.SetErr(&out)
		err := root.ExecuteContext(t.Context())
		require.Error(t, err, r.args)
		require.ErrorContains(t, err, r.remedy, r.args)
	}
}
