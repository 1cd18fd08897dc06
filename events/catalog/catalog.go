// Package catalog knows every payload type of this version.
package catalog

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
)

// New is a registry of every payload type.
func New() *events.Registry {
	r := events.NewRegistry()
	workload.Register(r)
	instance.Register(r)
	ledger.Register(r)
	unplaced.Register(r)
	node.Register(r)
	report.Register(r)
	command.Register(r)
	return r
}
