package nodehealth

import (
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

func TestTheEarGivesAFreshPeriodAfterItCouldNotHear(t *testing.T) {
	s := projectionstest.New()
	s.Node("n1", spec.Resources{}, nil)
	timing := Timing{}.Default()
	self := events.Heartbeat{Node: SelfPrefix + "a", Incarnation: "me"}
	e := newEar(timing, self)
	hear := func(beat events.Heartbeat) bool { return e.hear(beat, s.Now, s.View()) }
	since := func() time.Time { return e.at(s.View(), s.Now).Since }

	if !hear(self) || !since().Equal(s.Now) {
		t.Error("the first own pulse begins no period")
	}
	began := s.Now
	s.Pass(timing.SuspectAfter)
	if hear(self) || !since().Equal(began) {
		t.Error("a pulse in time begins a new period")
	}
	s.Pass(timing.SuspectAfter + 1) // paused, or cut off
	stranger := self
	stranger.Incarnation = "the process before"
	if hear(stranger) || !since().Equal(began) {
		t.Error("another process's pulse counts as the own one")
	}
	if !hear(self) || !since().Equal(s.Now) {
		t.Error("after a gap there is no fresh period")
	}
	s.Pass(time.Second)
	e.afresh(s.Now)
	if !since().Equal(s.Now) {
		t.Error("an election begins no period")
	}
}

func TestTheEarNoticesWhatTheLogSays(t *testing.T) {
	s := projectionstest.New()
	timing := Timing{}.Default()
	e := newEar(timing, events.Heartbeat{Node: SelfPrefix + "a", Incarnation: "me"})
	beat := events.Heartbeat{Node: "n1", Incarnation: "n1-1", Ready: true}
	if e.hear(beat, s.Now, s.View()) {
		t.Error("a node that is not there yet is news")
	}
	s.Node("n1", spec.Resources{}, nil)
	if p := e.at(s.View(), s.Now).Pulses["n1"]; !p.Heard.Equal(s.Now) || !p.Noticed.Equal(s.Now) {
		t.Error("what was heard before it joined is forgotten")
	}
	if e.hear(beat, s.Now, s.View()) {
		t.Error("a pulse that changes nothing is news")
	}
	beat.Ready = false
	if !e.hear(beat, s.Now, s.View()) {
		t.Error("a node that is not ready any more is no news")
	}
	if p := e.at(s.View(), s.Now).Pulses["n1"]; !p.Present.Equal(s.Now) {
		t.Error("the present agent was not heard")
	}
	// A name that never joins is not remembered for ever.
	e.hear(events.Heartbeat{Node: "ghost"}, s.Now, s.View())
	s.Pass(timing.LostAfter + 1)
	if _, ok := e.at(s.View(), s.Now).Pulses["ghost"]; ok {
		t.Error("a ghost is remembered")
	}
}
