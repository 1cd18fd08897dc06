package spec

import (
	"strconv"
	"time"
)

// Lifecycle is what is done in a container at turns of its life. Names and meanings are Kubernetes'.
type Lifecycle struct {
	// PreStop is done before the container is sent its stop signal, within the grace period, however it comes that it is to stop.
	PreStop *Hook `json:"preStop,omitempty"`
}

// Hook is one thing to do, in one of three ways.
type Hook struct {
	Exec    *ExecProbe `json:"exec,omitempty"`
	HTTPGet *HTTPProbe `json:"httpGet,omitempty"`
	Sleep   *SleepHook `json:"sleep,omitempty"`
}

// SleepHook waits, so that load balancers can forget the container first.
type SleepHook struct {
	Seconds int `json:"seconds"`
}

// Default fills what the user may leave out.
func (l *Lifecycle) Default() {
	if l != nil && l.PreStop != nil {
		l.PreStop.probe().Default()
	}
}

// probe is the hook as a question that is asked once.
func (h *Hook) probe() *Probe { return &Probe{Exec: h.Exec, HTTPGet: h.HTTPGet} }

// Question is what a hook other than a sleep does, as a question that is asked once and may take so long.
func (h *Hook) Question(most time.Duration) *Probe {
	p := h.probe()
	p.TimeoutSeconds = max(1, int((most+time.Second-1)/time.Second))
	return p
}

func (l *Lifecycle) validate(field string, ports []Port) (errs Errors) {
	if l == nil || l.PreStop == nil {
		return nil
	}
	h, at := l.PreStop, field+".preStop"
	ways := 0
	for _, given := range []bool{h.Exec != nil, h.HTTPGet != nil, h.Sleep != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		errs.add(at, strconv.Itoa(ways), "exactly one of exec, httpGet and sleep")
		return errs
	}
	if h.Sleep != nil {
		if limit := int(time.Duration(MaxGracePeriod) / time.Second); h.Sleep.Seconds < 1 || h.Sleep.Seconds > limit {
			errs.add(at+".sleep.seconds", strconv.Itoa(h.Sleep.Seconds), "1 to %d", limit)
		}
		return errs
	}
	p := h.probe()
	p.Default()
	return append(errs, p.validate(at, ports, true)...)
}
