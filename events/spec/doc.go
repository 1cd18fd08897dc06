// Package spec holds the value types of the domain: what a person or an agent asks for and what the events repeat.
//
// The types are plain data. Each has a Validate that reports every fault at once, each fault with the path of the
// field, what it held and what would be right. Names follow Kubernetes and the OCI specifications where those have one.
package spec
