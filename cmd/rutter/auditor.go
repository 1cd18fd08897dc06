package main

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/services/auditor"
)

// auditorFlags are the settings of an auditor.
type auditorFlags struct {
	key      string
	interval time.Duration
	recheck  time.Duration
}

func (f *auditorFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "audit-key", "", "file of the key that signs checkpoints (default auditor.key in --keys)")
	flags.DurationVar(&f.interval, "audit-interval", time.Second, "between two checkpoints, while something happens")
	flags.DurationVar(&f.recheck, "audit-recheck", 24*time.Hour, "how often the whole log is compared with what was signed; also at every start")
}

func (f *auditorFlags) build(keys func() string) func(deciderParts) (decider, error) {
	return func(d deciderParts) (decider, error) {
		signer, verifier, err := audit.LoadKey(cmp.Or(f.key, auth.AuditorKey(keys())))
		if err != nil {
			return nil, err
		}
		log := d.client.Log()
		return auditor.New(auditor.Config{
			Log: log, Records: log, Vault: d.client.Vault(), Leases: d.client.Leases(), LeaderLease: d.lease, Holder: d.holder,
			Signer: signer, Verifier: verifier, Logger: d.log, Metrics: d.metrics, Interval: f.interval, Recheck: f.recheck,
		})
	}
}

func newAuditorCommand() *cobra.Command {
	f, own := &deciderFlags{}, &auditorFlags{}
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		own.define(flags)
	}
	long := `Run an auditor: it reads the log in order into a Merkle tree and signs checkpoints of it with the key auditor.key, which the other services
never see. It writes no event. Where the log is no longer what was signed it says so loudly and signs nothing more.`
	return newServerCommand("auditor", "Run an auditor: a signed Merkle tree over the log", long, define, func(ctx context.Context, p *process) error {
		return f.serve(ctx, p, events.ServiceAuditor, own.build(func() string { return f.nats.keys }), nil)
	})
}
