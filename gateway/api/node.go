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
}
