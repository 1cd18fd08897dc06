package runc

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sys/unix"
)

func TestArgumentsAsInKubernetes(t *testing.T) {
	image := v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"cmd"}}
	for _, tt := range []struct {
		command, args, want []string
	}{
		{nil, nil, []string{"entry", "cmd"}},
		{nil, []string{"a"}, []string{"entry", "a"}},
		{[]string{"c"}, nil, []string{"c"}},
		{[]string{"c"}, []string{"a"}, []string{"c", "a"}},
	} {
		in := input{image: image, config: runtime.ContainerConfig{Spec: spec.Container{Command: tt.command, Args: tt.args}}}
		if got := arguments(in); !slices.Equal(got, tt.want) {
			t.Errorf("%q %q: %q, want %q", tt.command, tt.args, got, tt.want)
		}
	}
}

func TestEnvironmentLaterWins(t *testing.T) {
	in := input{
		image:   v1.Config{Env: []string{"PATH=/image", "A=image", "B=image", "C=image"}},
		sandbox: sandbox{Hostname: "h"},
		config: runtime.ContainerConfig{
			Env:  []spec.EnvVar{{Name: "B", Value: "agent"}, {Name: "C", Value: "agent"}},
			Spec: spec.Container{Env: []spec.EnvVar{{Name: "C", Value: "spec"}}},
		},
	}
	if got, want := environment(in), []string{"PATH=/image", "HOSTNAME=h", "A=image", "B=agent", "C=spec"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCapabilities(t *testing.T) {
	some := []string{"CAP_CHOWN", "CAP_KILL"}
	for _, tt := range []struct {
		asked spec.Capabilities
		want  []string
	}{
		{spec.Capabilities{}, some},
		{spec.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"CAP_KILL"}}, []string{"CAP_CHOWN", "CAP_NET_ADMIN"}},
		{spec.Capabilities{Drop: []string{"ALL"}}, nil},
		{spec.Capabilities{Drop: []string{"ALL"}, Add: []string{"CHOWN"}}, []string{"CAP_CHOWN"}},
		{spec.Capabilities{Drop: []string{"CHOWN"}, Add: []string{"CHOWN"}}, []string{"CAP_KILL"}},
	} {
		if got := capabilities(some, tt.asked); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.asked, got, tt.want)
		}
	}
	all := capabilities(some, spec.Capabilities{Add: []string{"ALL"}, Drop: []string{"SYS_ADMIN"}})
	if len(all) != len(spec.AllCapabilities())-1 || slices.Contains(all, "CAP_SYS_ADMIN") {
		t.Errorf("all but one: %q", all)
	}
}

func TestOOMScore(t *testing.T) {
	const total = 1000 << 20
	with := func(requests, limits spec.Resources) spec.Requirements {
		return spec.Requirements{Requests: requests, Limits: limits}
	}
	full := spec.Resources{CPU: 1000, Memory: 100 << 20}
	for _, tt := range []struct {
		asked spec.Requirements
		want  int
	}{
		{with(spec.Resources{}, spec.Resources{}), 1000},
		{with(full, full), -997},
		{with(spec.Resources{Memory: 100 << 20}, spec.Resources{}), 900},
		{with(spec.Resources{Memory: total}, spec.Resources{}), 3},
		{with(spec.Resources{CPU: 1}, spec.Resources{}), 999},
	} {
		if got := oomScore(tt.asked, total); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.asked, got, tt.want)
		}
	}
}

func TestLimitsOfTheKernel(t *testing.T) {
	var r specs.LinuxResources
	limit(&r, spec.Requirements{Limits: spec.Resources{CPU: 1, Memory: 1 << 20}}, node{swap: true})
	if *r.CPU.Shares != minShares || *r.CPU.Quota != minQuota || *r.Memory.Swap != 1<<20 {
		t.Errorf("%+v %+v", r.CPU, r.Memory)
	}
}

func TestParseSignal(t *testing.T) {
	for name, want := range map[string]unix.Signal{
		"SIGTERM": unix.SIGTERM, "term": unix.SIGTERM, "9": unix.SIGKILL, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "SIGWINCH": unix.SIGWINCH,
		"": 0, "SIGNOPE": 0, "0": 0, "65": 0, "SIGRTMIN+31": 0, "-9": 0,
	} {
		if got, err := parseSignal(name); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}

func TestParseVersion(t *testing.T) {
	name, version, ok := parseVersion("runc version 1.1.5+ds1\ncommit: x\n")
	if !ok || name != "runc" || version != "1.1.5" {
		t.Error(name, version, ok)
	}
	if _, _, ok := parseVersion("hello"); ok {
		t.Error("hello is no version")
	}
}

func TestFileName(t *testing.T) {
	for _, bad := range []string{"", ".", "..", ".trash", "a/b", "a\x00b", strings.Repeat("a", 200)} {
		if fileName(bad) {
			t.Errorf("%q may be a file's name", bad)
		}
	}
}
