package auditor_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/services/auditor"
)

// stage is a log that can be forged, and the vault and key of its auditors.
type stage struct {
	*memlog.Log
	t        *testing.T
	vault    *memlog.Vault
	signer   note.Signer
	verifier note.Verifier

	mu    sync.Mutex
	forge func(*events.Record) bool // false: it is gone
	cut   uint64                    // the log ends here; 0: where it does
	asked int                       // how often the log was asked where it ends
	older time.Duration             // by so much the log says it was made later
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, Log: memlog.New(catalog.New()), vault: memlog.NewVault()}
	skey, vkey, err := audit.NewKey()
	require.NoError(t, err)
	s.signer, err = note.NewSigner(skey)
	require.NoError(t, err)
	s.verifier, err = audit.ParseVerifier(vkey)
	require.NoError(t, err)
	return s
}

func (s *stage) Records(ctx context.Context, from uint64, handle func(events.Record, uint64) error) error {
	return s.Log.Records(ctx, from, func(r events.Record, pending uint64) error {
		s.mu.Lock()
		forge, cut := s.forge, s.cut
		s.mu.Unlock()
		if cut > 0 && r.Sequence > cut {
			<-ctx.Done()
			return ctx.Err()
		}
		if forge != nil && !forge(&r) {
			return nil
		}
		return handle(r, pending)
	})
}

func (s *stage) Last(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.cut > 0 {
		return s.cut, nil
	}
	return s.Log.Last(ctx)
}

func (s *stage) Extent(ctx context.Context) (events.Extent, error) {
	x, err := s.Log.Extent(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	x.Created = x.Created.Add(s.older)
	return x, err
}

func (s *stage) tamper(change func(*stage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// say appends events to one subject.
func (s *stage) say(n int) {
	s.t.Helper()
	subject := events.NodeSubject("n1")
	expect := uint64(0)
	if last, err := s.LastOf(s.t.Context(), subject); err == nil {
		expect = last.Sequence
	}
	_, err := s.Append(s.t.Context(), events.Batch{{Subject: subject, Expect: expect, Events: logtest.Facts(fmt.Sprint("at", expect), n)}})
	require.NoError(s.t, err)
}

// start runs an auditor until stop is called.
func (s *stage) start(change ...func(*auditor.Config)) (service *auditor.Service, stop func()) {
	s.t.Helper()
	log := logrus.New()
	log.SetOutput(s.t.Output())
	c := auditor.Config{
		Log: s, Records: s, Vault: s.vault, Signer: s.signer, Verifier: s.verifier, Logger: logrus.NewEntry(log),
		Interval: time.Millisecond, Recheck: time.Hour, Tail: 10, Patience: time.Millisecond,
	}
	for _, change := range change {
		change(&c)
	}
	service, err := auditor.New(c)
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-done)
	})
	s.t.Cleanup(stop)
	return service, stop
}

// signed waits until a checkpoint covers so many events, and gives it.
func (s *stage) signed(size int64) (c audit.Checkpoint) {
	s.t.Helper()
	logtest.Eventually(s.t, "a checkpoint", func() bool {
		signed, err := audit.Newest(s.t.Context(), s.vault)
		if err != nil {
			return false
		}
		c, err = audit.Open(signed, s.verifier)
		require.NoError(s.t, err)
		return c.Size >= size
	})
	require.Equal(s.t, size, c.Size)
	return c
}

func (s *stage) alarm(service *auditor.Service, want string) {
	s.t.Helper()
	logtest.Eventually(s.t, "the alarm "+want, func() bool {
		why, err := audit.Alarm(s.t.Context(), s.vault)
		require.NoError(s.t, err)
		return why != ""
	})
	why, err := audit.Alarm(s.t.Context(), s.vault)
	require.NoError(s.t, err)
	require.Contains(s.t, why, want)
	require.ErrorContains(s.t, service.Ready(), "ALARM")
}

func TestWhatIsInTheLogIsSigned(t *testing.T) {
	s := newStage(t)
	s.say(700)
	service, stop := s.start()
	first := s.signed(700)
	require.NoError(t, service.Ready())
	s.say(5)
	second := s.signed(705)
	stop()

	s.say(300)
	s.start() // another process goes on
	third := s.signed(1005)
	for _, pair := range [][2]audit.Checkpoint{{first, second}, {first, third}, {second, third}} {
		root, proof, err := audit.Head(t.Context(), s.vault, third, pair[0].Size)
		require.NoError(t, err)
		require.Equal(t, pair[0].Root, root)
		if pair[1] == third {
			require.NoError(t, audit.CheckConsistency(pair[0], third, proof))
		}
	}
	// Any event is provably in it, by its line alone.
	err := s.Log.Records(t.Context(), 1, func(r events.Record, pending uint64) error {
		if r.Sequence%100 == 5 {
			proof, leaf, err := audit.Prove(t.Context(), s.vault, third, r.Sequence)
			require.NoError(t, err)
			require.Equal(t, audit.Leaf(r), leaf)
			require.NoError(t, audit.CheckInclusion(third, r.Sequence, audit.Leaf(r), proof))
		}
		if pending == 0 {
			return events.ErrExists
		}
		return nil
	})
	require.ErrorIs(t, err, events.ErrExists)
}

func TestALogThatWasRewrittenIsNotSigned(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stage)
		want   string
	}{
		"an old event changed": {func(s *stage) { s.forge = at(3, func(r *events.Record) bool { r.Data = []byte(`{}`); return true }) }, "event 3 is not what was signed"},
		"an old event gone":    {func(s *stage) { s.forge = at(3, func(*events.Record) bool { return false }) }, "event 3 is missing"},
		"a time changed": {func(s *stage) {
			s.forge = at(4, func(r *events.Record) bool { r.Recorded = r.Recorded.Add(1); return true })
		}, "event 4 is not what was signed"},
		"a header changed": {func(s *stage) {
			s.forge = at(5, func(r *events.Record) bool { r.Header["ce-actor"] = []string{"mallory"}; return true })
		}, "event 5 is not what was signed"},
		"the last one changed":  {func(s *stage) { s.forge = at(500, func(r *events.Record) bool { r.Data = nil; return true }) }, "event 500 is not what was signed"},
		"the tail gone":         {func(s *stage) { s.cut = 499 }, "ends at event 499 and was signed up to 500"},
		"another log stands in": {func(s *stage) { s.older = time.Hour }, "the tree is of the log made at"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.say(500)
			_, stop := s.start()
			s.signed(500)
			stop()
			s.tamper(c.change)
			service, stop := s.start()
			s.alarm(service, c.want)
			stop()
			before, err := audit.Newest(t.Context(), s.vault)
			require.NoError(t, err)

			// Once the log is again what it was, it is signed again.
			s.tamper(func(s *stage) { s.forge, s.cut, s.older = nil, 0, 0 })
			s.say(1)
			s.start()
			s.signed(501)
			why, err := audit.Alarm(t.Context(), s.vault)
			require.NoError(t, err)
			require.Empty(t, why)
			require.NotEmpty(t, before)
		})
	}
}

func TestALogThatIsBehindForAMomentRaisesNoAlarm(t *testing.T) {
	s := newStage(t)
	s.say(500)
	_, stop := s.start()
	s.signed(500)
	stop()
	s.tamper(func(s *stage) { s.cut, s.asked = 499, 0 })
	service, _ := s.start(func(c *auditor.Config) { c.Patience = time.Hour })
	logtest.Eventually(t, "the auditor to look again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asked > 2
	})
	s.tamper(func(s *stage) { s.cut = 0 })
	s.say(1)
	s.signed(501)
	require.NoError(t, service.Ready())
	why, err := audit.Alarm(t.Context(), s.vault)
	require.NoError(t, err)
	require.Empty(t, why)
}

func at(sequence uint64, change func(*events.Record) bool) func(*events.Record) bool {
	return func(r *events.Record) bool { return r.Sequence != sequence || change(r) }
}

func TestARewritingIsFoundWhileTheAuditorRuns(t *testing.T) {
	s := newStage(t)
	s.say(20)
	service, _ := s.start(func(c *auditor.Config) { c.Recheck = 20 * time.Millisecond })
	s.signed(20)
	s.tamper(func(s *stage) { s.forge = at(2, func(r *events.Record) bool { r.Data = nil; return true }) })
	s.alarm(service, "event 2 is not what was signed")
}

func TestAnEventThatIsMissingIsNotSignedOver(t *testing.T) {
	s := newStage(t)
	s.say(10)
	s.tamper(func(s *stage) { s.forge = at(7, func(*events.Record) bool { return false }) })
	service, _ := s.start()
	s.alarm(service, "event 7 is missing: the log goes on with 8")
	_, err := audit.Newest(t.Context(), s.vault)
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestTwoAuditorsWithoutALeaseSignOneTree(t *testing.T) {
	s := newStage(t)
	s.start()
	s.start()
	for range 20 {
		s.say(37)
	}
	c := s.signed(740)
	n := int64(0)
	tree := &audit.Tree{}
	err := s.Log.Records(t.Context(), 1, func(r events.Record, _ uint64) error {
		tree.Append(audit.Leaf(r))
		if n++; n == 740 {
			return events.ErrExists
		}
		return nil
	})
	require.ErrorIs(t, err, events.ErrExists)
	require.Equal(t, tree.Root(), c.Root)
}

func TestTheHolderOfTheLeaseSigns(t *testing.T) {
	s := newStage(t)
	s.say(3)
	leases := memlog.NewLeases(300*time.Millisecond, memlog.Faults{})
	held := func(holder string) func(*auditor.Config) {
		return func(c *auditor.Config) { c.Leases, c.LeaderLease, c.Holder = leases, true, holder }
	}
	_, stop := s.start(held("a"))
	s.signed(3)
	standby, _ := s.start(held("b"))
	logtest.Eventually(t, "the second to stand by", func() bool { return standby.Ready() == nil })
	stop()
	s.say(2)
	s.signed(5)
	// On a slow machine the lease may run out for a moment.
	logtest.Eventually(t, "the second to hold the lease", func() bool {
		holder, err := leases.Holder(t.Context(), events.ServiceAuditor)
		return err == nil && holder == "b"
	})
}

func TestKeysThatDoNotBelongTogetherAreRefused(t *testing.T) {
	a, b := newStage(t), newStage(t)
	_, err := auditor.New(auditor.Config{Signer: a.signer, Verifier: b.verifier})
	require.ErrorIs(t, err, events.ErrInvalid)
}
