package spec

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocol is a transport protocol.
type Protocol string

// The transport protocols.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Port is a port that a container listens on and, where HostPort is set, the node's port that leads to it.
type Port struct {
	Name          string   `json:"name,omitempty"`
	ContainerPort int      `json:"containerPort"`
	HostPort      int      `json:"hostPort,omitempty"` // 0: not published on the node
	Protocol      Protocol `json:"protocol,omitempty"` // tcp where empty
}

// EnvVar is an environment variable with a literal value.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SeccompProfile names the system-call filter of a container.
type SeccompProfile string

// The seccomp profiles.
const (
	SeccompDefault    SeccompProfile = "default"    // the profile of containerd, adjusted to the capabilities
	SeccompUnconfined SeccompProfile = "unconfined" // no filter
)

// Capabilities are added to and dropped from the default set (names as in capabilities(7), CAP_ optional, or ALL).
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// SecurityContext is what a container may do on its node. The zero value is the safe default.
type SecurityContext struct {
	User                     string         `json:"user,omitempty"` // user[:group], names or numbers; the image's where empty
	Capabilities             Capabilities   `json:"capabilities,omitzero"`
	Seccomp                  SeccompProfile `json:"seccomp,omitempty"` // default where empty
	ReadOnlyRootFilesystem   bool           `json:"readOnlyRootFilesystem,omitempty"`
	AllowPrivilegeEscalation bool           `json:"allowPrivilegeEscalation,omitempty"` // false sets no_new_privs
}

// Container is one process tree of an instance, run from an image.
type Container struct {
	Name            string          `json:"name"`
	Image           ImageRef        `json:"image,omitzero"`
	Command         []string        `json:"command,omitempty"` // replaces the image's entrypoint
	Args            []string        `json:"args,omitempty"`    // replaces the image's command
	Env             []EnvVar        `json:"env,omitempty"`
	WorkingDir      string          `json:"workingDir,omitempty"`
	Ports           []Port          `json:"ports,omitempty"`
	Resources       Requirements    `json:"resources,omitzero"`
	SecurityContext SecurityContext `json:"securityContext,omitzero"`
	StopSignal      string          `json:"stopSignal,omitempty"` // such as SIGTERM, the default
	Lifecycle       *Lifecycle      `json:"lifecycle,omitempty"`
	LivenessProbe   *Probe          `json:"livenessProbe,omitempty"`  // a container that fails it is run again
	ReadinessProbe  *Probe          `json:"readinessProbe,omitempty"` // a container is ready while it passes it
	StartupProbe    *Probe          `json:"startupProbe,omitempty"`   // holds the other two back until it has passed; one that fails it is run again
}

// Default fills what the user may leave out.
func (c *Container) Default() {
	for i := range c.Ports {
		if c.Ports[i].Protocol == "" {
			c.Ports[i].Protocol = TCP
		}
	}
	if c.SecurityContext.Seccomp == "" {
		c.SecurityContext.Seccomp = SeccompDefault
	}
	c.Lifecycle.Default()
	for _, p := range []*Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		p.Default()
	}
	// What is limited and not reserved is reserved up to its limit, as in Kubernetes.
	if r := &c.Resources; r.Requests.CPU == 0 {
		r.Requests.CPU = r.Limits.CPU
	}
	if r := &c.Resources; r.Requests.Memory == 0 {
		r.Requests.Memory = r.Limits.Memory
	}
}

// Validate reports every fault of the container, with field as the path.
func (c Container) Validate(field string) (errs Errors) {
	if c.Name == "" {
		errs.add(field+".name", "", "a name: %s", wantDNSLabel)
	} else {
		errs = append(errs, ValidateName(field+".name", c.Name)...)
	}
	if c.Image.IsZero() {
		errs.add(field+".image", "", "an image reference [registry/]repository[:tag][@digest]")
	}
	if len(c.Command) > 0 && c.Command[0] == "" {
		errs.add(field+".command[0]", "", "a program to run")
	}
	for i, arg := range slices.Concat(c.Command, c.Args) {
		if strings.ContainsRune(arg, 0) {
			errs.add(fmt.Sprintf("%s.command+args[%d]", field, i), arg, "a string without NUL bytes")
		}
	}
	if c.WorkingDir != "" && !path.IsAbs(c.WorkingDir) {
		errs.add(field+".workingDir", c.WorkingDir, "an absolute path")
	}
	if c.StopSignal != "" && !signalName.MatchString(c.StopSignal) {
		errs.add(field+".stopSignal", c.StopSignal, "a signal name such as SIGTERM, SIGINT or SIGQUIT")
	}
	errs = append(errs, validateEnv(field+".env", c.Env)...)
	for i, p := range c.Ports {
		errs = append(errs, p.validate(fmt.Sprintf("%s.ports[%d]", field, i))...)
	}
	errs = append(errs, c.Lifecycle.validate(field+".lifecycle", c.Ports)...)
	errs = append(errs, c.LivenessProbe.validate(field+".livenessProbe", c.Ports, true)...)
	errs = append(errs, c.ReadinessProbe.validate(field+".readinessProbe", c.Ports, false)...)
	errs = append(errs, c.StartupProbe.validate(field+".startupProbe", c.Ports, true)...)
	errs = append(errs, c.Resources.Validate(field+".resources")...)
	return append(errs, c.SecurityContext.validate(field+".securityContext")...)
}

func validateEnv(field string, env []EnvVar) (errs Errors) {
	seen := map[string]bool{}
	for i, e := range env {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !envName.MatchString(e.Name):
			errs.add(at+".name", e.Name, "letters, digits, '_', '-' and '.', not starting with a digit")
		case seen[e.Name]:
			errs.add(at+".name", e.Name, "each name once")
		}
		if strings.ContainsRune(e.Value, 0) {
			errs.add(at+".value", e.Value, "a string without NUL bytes")
		}
		seen[e.Name] = true
	}
	return errs
}

func (p Port) validate(field string) (errs Errors) {
	if p.ContainerPort < 1 || p.ContainerPort > 65535 {
		errs.add(field+".containerPort", strconv.Itoa(p.ContainerPort), "a port from 1 to 65535")
	}
	if p.HostPort < 0 || p.HostPort > 65535 {
		errs.add(field+".hostPort", strconv.Itoa(p.HostPort), "a port from 1 to 65535, or none")
	}
	if p.Name != "" {
		errs = append(errs, ValidateName(field+".name", p.Name)...)
	}
	switch p.Protocol {
	case TCP, UDP, SCTP:
	default:
		errs.add(field+".protocol", string(p.Protocol), "tcp, udp or sctp")
	}
	return errs
}

func (s SecurityContext) validate(field string) (errs Errors) {
	if s.User != "" && !userName.MatchString(s.User) {
		errs.add(field+".user", s.User, "user or user:group, each a name or a number")
	}
	switch s.Seccomp {
	case SeccompDefault, SeccompUnconfined:
	default:
		errs.add(field+".seccomp", string(s.Seccomp), "default or unconfined")
	}
	for _, list := range []struct {
		name  string
		names []string
	}{{"add", s.Capabilities.Add}, {"drop", s.Capabilities.Drop}} {
		for i, name := range list.names {
			if !capability.MatchString(name) || !KnownCapability(name) {
				errs.add(fmt.Sprintf("%s.capabilities.%s[%d]", field, list.name, i), name, "a capability such as NET_BIND_SERVICE, or ALL")
			}
		}
	}
	return errs
}

// DefaultGracePeriod is how long a container may take to stop before it is killed.
const DefaultGracePeriod = Duration(10 * time.Second)
