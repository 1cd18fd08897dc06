package memlog_test

import (
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
)

func TestConformance(t *testing.T) {
	registry := catalog.New()
	log := memlog.New(registry)
	commands := memlog.NewCommands(registry, memlog.Faults{})
	leases := memlog.NewLeases(100*time.Millisecond, memlog.Faults{})
	vault := memlog.NewVault()
	fingerprints := memlog.NewFingerprints()
	snapshots := memlog.NewSnapshots()
	beats := memlog.NewHeartbeats(memlog.Faults{})
	logtest.Run(t, logtest.Fixture{
		Log:        func(*testing.T) events.LiveLog { return log },
		Commands:   func(*testing.T) events.Commands { return commands },
		Leases:     func(*testing.T) events.Leases { return leases },
		Heartbeats: func(*testing.T) events.Heartbeats { return beats },
		Vault:      func(*testing.T) events.Vault { return vault },
		Snapshots:  func(*testing.T) events.Snapshots { return snapshots },

		Fingerprints: func(*testing.T) events.Fingerprints { return fingerprints },
	})
}
