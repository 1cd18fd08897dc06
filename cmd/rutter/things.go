package main

import (
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
)

// kind is a kind of thing that commands name.
type kind struct {
	name   string   // singular
	also   []string // plural and short names
	spaced bool     // lives in a namespace
}

var (
	workloads  = kind{"workload", []string{"workloads", "wl"}, true}
	instances  = kind{"instance", []string{"instances", "inst", "in"}, true}
	nodes      = kind{"node", []string{"nodes", "no"}, false}
	operations = kind{"operation", []string{"operations", "ops", "op"}, false}
	eventsKind = kind{"event", []string{"events", "ev"}, false}
)

// kindOf finds a kind by any of its names.
func kindOf(name string, among ...kind) (kind, error) {
	var names []string
	for _, k := range among {
		if name == k.name || slices.Contains(k.also, name) {
			return k, nil
		}
		names = append(names, k.also[0])
	}
	return kind{}, usagef("there is no kind %q here: want one of %s, or kind/name such as %s/%s", name, strings.Join(names, ", "), among[0].name, name)
}

// thing is one thing that a command line names.
type thing struct {
	kind kind
	name string
}

func (t thing) String() string { return t.kind.name + "/" + t.name }

// thingsIn reads `kind name…`, `kind/name…` and `kind`. A lone name is of the kind otherwise, where that is given.
func thingsIn(args []string, otherwise *kind, among ...kind) (k kind, named []thing, err error) {
	if len(args) == 0 {
		return k, nil, usagef("what? want a kind, such as %s, or kind/name", among[0].also[0])
	}
	if !strings.Contains(args[0], "/") {
		k, err = kindOf(args[0], among...)
		if err != nil && otherwise != nil {
			k, err, args = *otherwise, nil, append([]string{""}, args...)
		}
		if err != nil {
			return k, nil, err
		}
		args = args[1:]
	}
	for _, arg := range args {
		t := thing{kind: k, name: arg}
		if before, after, ok := strings.Cut(arg, "/"); ok {
			if t.kind, err = kindOf(before, among...); err != nil {
				return k, nil, err
			}
			if t.name = after; k.name == "" {
				k = t.kind
			}
			if t.kind.name != k.name {
				return k, nil, usagef("%s and %s in one command: name things of one kind", k.name, t.kind.name)
			}
		}
		if t.name == "" {
			return k, nil, usagef("%q has no name: want %s/<name>", arg, t.kind.name)
		}
		named = append(named, t)
	}
	return k, named, nil
}

// space is the namespace that a command works in.
func (c *cli) space() string {
	if c.namespace == "" {
		return spec.DefaultNamespace
	}
	return c.namespace
}
