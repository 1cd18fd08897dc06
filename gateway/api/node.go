package api

import (
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// Node is a machine that runs instances.
type Node struct {
	Name        string            `json:"name"`
	State       string            `json:"state" enum:"Ready,NotReady,Suspected,Lost,Left"`
	Message     string            `json:"message,omitempty" description:"why it is not ready"`
	Since       time.Time         `json:"since"`
	Joined      time.Time         `json:"joined"`
	Labels      map[string]string `json:"labels,omitempty"`
	Capacity    spec.Resources    `json:"capacity"`
	Allocated   spec.Resources    `json:"allocated" description:"reserved by the instances it holds"`
	Instances   int               `json:"instances"`
	HostPorts   []string          `json:"hostPorts,omitempty" description:"taken, such as tcp/80"`
	Address     string            `json:"address,omitempty"`
	Version     string            `json:"version,omitempty"`
	Runtime     string            `json:"runtime,omitempty"`
	Incarnation string            `json:"incarnation"`
	Cordoned    bool              `json:"cordoned,omitempty" description:"gets no new instances, by an operator's word"`
	Drain       *NodeDrain        `json:"drain,omitempty" description:"it is being emptied, or has been"`
	Taints      []spec.Taint      `json:"taints,omitempty" description:"keep instances off it that do not tolerate them"`
}

// NodeDrain is how far a node is with being emptied.
type NodeDrain struct {
	Done     bool      `json:"done" description:"nothing is left on it"`
	Deadline time.Time `json:"deadline,omitzero" description:"after this the rest is stopped whatever it costs"`
	Since    time.Time `json:"since"`
	Actor    string    `json:"actor,omitempty"`
}

// Cordon asks for a node to get no new instances, or to take work again.
type Cordon struct {
	Cordoned *bool `json:"cordoned" required:"true" description:"false ends a drain as well"`
}

// Drain asks for a node to be emptied.
type Drain struct {
	Within spec.Duration `json:"within,omitzero" description:"such as 10m; after this the rest is stopped whatever it costs; absent: there is no hurry"`
}

// TaintChange sets taints on a node and takes others off.
type TaintChange struct {
	Set    []spec.Taint `json:"set,omitempty"`
	Remove []spec.Taint `json:"remove,omitempty" description:"by key and effect; without an effect all of the key"`
}

// LabelChange sets labels on a node and takes others off.
type LabelChange struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}
