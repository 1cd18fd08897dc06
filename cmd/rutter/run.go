package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events/spec"
)

// running is the flags of `run`.
type running struct {
	name, restart, stopSignal, cpu, memory, user, grace string
	replicas                                            int
	env, ports, labels, nodeSelector                    []string
	command, dryRun, print                              bool
	how                                                 changing
}

func newRunCommand(c *cli) *cobra.Command {
	var r running
	command := &cobra.Command{
		Use:   "run IMAGE [flags] [-- ARG…]",
		Short: "Run an image as a workload, and wait until it is ready",
		Long: `Run an image as a workload. What follows -- is the arguments of the image's program, or with --command the program itself.
--print shows the document instead, as a start for a file of your own.`,
		Example: `  rutter run nginx --replicas 3 --port 8080:80
  rutter run busybox --name beat --command -- sh -c 'while true; do date; sleep 1; done'
  rutter run redis:7 --memory 256Mi --cpu 500m --print > redis.yaml`,
		Args: args(1, -1, "an image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := r.workload(args[0], args[1:])
			if err != nil {
				return err
			}
			if c.namespace != "" {
				w.Metadata.Namespace = c.namespace
			}
			if r.print {
				return c.printDocument(w, formatYAML)
			}
			w.Default()
			if err := w.Validate(); err != nil {
				return usagef("%v", err)
			}
			return c.apply(cmd.Context(), []spec.Workload{w}, r.how, r.dryRun)
		},
	}
	flags := command.Flags()
	flags.StringVar(&r.name, "name", "", "name of the workload (default: the image's last word)")
	flags.IntVar(&r.replicas, "replicas", 1, "how many instances")
	flags.StringArrayVarP(&r.env, "env", "e", nil, "environment variable NAME=VALUE, once for each")
	flags.StringArrayVarP(&r.ports, "port", "p", nil, "port [NODE:]CONTAINER[/tcp|udp|sctp], once for each")
	flags.StringVar(&r.cpu, "cpu", "", "processor time, reserved and at most, such as 500m")
	flags.StringVar(&r.memory, "memory", "", "memory, reserved and at most, such as 128Mi")
	flags.StringArrayVarP(&r.labels, "label", "l", nil, "label KEY=VALUE, once for each")
	flags.StringArrayVar(&r.nodeSelector, "node-selector", nil, "label KEY=VALUE that a node must carry, once for each")
	flags.StringVar(&r.restart, "restart", "", "always (default), on-failure or never")
	flags.StringVar(&r.stopSignal, "stop-signal", "", "such as SIGINT (default SIGTERM)")
	flags.StringVar(&r.grace, "grace", "", "time from stop signal to kill (default 10s)")
	flags.StringVar(&r.user, "user", "", "user[:group] to run as (default: the image's)")
	flags.BoolVar(&r.command, "command", false, "what follows -- replaces the image's program")
	flags.BoolVar(&r.dryRun, "dry-run", false, "validate, resolve the image and say what would change; send nothing")
	flags.BoolVar(&r.print, "print", false, "print the document and do nothing")
	r.how.flags(flags)
	c.addNamespaceFlag(command)
	return command
}

// workload makes the document. Its faults name flags.
func (r *running) workload(image string, rest []string) (spec.Workload, error) {
	var faults []error
	bad := func(flag string, err error) {
		if err != nil {
			var fault spec.FieldError
			if errors.As(err, &fault) {
				fault.Field = flag
				err = fault
			}
			faults = append(faults, err)
		}
	}
	ref, err := spec.ParseImage(image)
	bad("IMAGE", err)
	container := spec.Container{Name: "main", Image: ref, StopSignal: r.stopSignal, SecurityContext: spec.SecurityContext{User: r.user}}
	if r.command {
		container.Command = rest
	} else {
		container.Args = rest
	}
	for _, pair := range r.env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			bad("--env", spec.FieldError{Value: pair, Want: "NAME=VALUE"})
		}
		container.Env = append(container.Env, spec.EnvVar{Name: name, Value: value})
	}
	for _, text := range r.ports {
		port, err := parsePort(text)
		bad("--port", err)
		container.Ports = append(container.Ports, port)
	}
	if r.cpu != "" {
		bad("--cpu", json.Unmarshal([]byte(strconv.Quote(r.cpu)), &container.Resources.Limits.CPU))
	}
	if r.memory != "" {
		bad("--memory", json.Unmarshal([]byte(strconv.Quote(r.memory)), &container.Resources.Limits.Memory))
	}
	w := spec.Workload{
		APIVersion: spec.APIVersion, Kind: spec.KindWorkload,
		Metadata: spec.Metadata{Name: r.name, Labels: pairs(r.labels, "--label", bad)},
		Spec: spec.WorkloadSpec{
			Replicas: &r.replicas, Containers: []spec.Container{container}, RestartPolicy: spec.RestartPolicy(r.restart),
			NodeSelector: pairs(r.nodeSelector, "--node-selector", bad),
		},
	}
	if r.grace != "" {
		bad("--grace", json.Unmarshal([]byte(strconv.Quote(r.grace)), &w.Spec.GracePeriod))
	}
	if w.Metadata.Name == "" {
		w.Metadata.Name = strings.ReplaceAll(strings.ReplaceAll(path.Base(ref.Repository), "_", "-"), ".", "-")
	}
	if len(faults) > 0 {
		return w, usagef("%v", errors.Join(faults...))
	}
	return w, nil
}

func pairs(texts []string, flag string, bad func(string, error)) map[string]string {
	if len(texts) == 0 {
		return nil
	}
	set := map[string]string{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			bad(flag, spec.FieldError{Value: text, Want: "KEY=VALUE"})
		}
		set[key] = value
	}
	return set
}

// parsePort reads [NODE:]CONTAINER[/PROTOCOL].
func parsePort(text string) (port spec.Port, err error) {
	numbers, protocol, _ := strings.Cut(text, "/")
	port.Protocol = spec.Protocol(protocol)
	host, container, published := strings.Cut(numbers, ":")
	if !published {
		host, container = "", host
	}
	if port.ContainerPort, err = strconv.Atoi(container); err == nil && published {
		port.HostPort, err = strconv.Atoi(host)
	}
	if err != nil {
		return port, spec.FieldError{Value: text, Want: fmt.Sprintf("[NODE:]CONTAINER[/tcp|udp|sctp], such as %s", "8080:80")}
	}
	return port, nil
}
