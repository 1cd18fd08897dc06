package agentd

import (
	"context"
	"time"
)

// contactsInLease is how many round trips are tried before the node's lease runs out.
const contactsInLease = 6

// keepContact makes a round trip to the cluster again and again, and notes when the node has been cut off for longer than its lease. The lease
// counts from when the last answered one set out: until then at least the node was known to be there.
func (a *Agent) keepContact(ctx context.Context) error {
	every := max(a.config.PartitionLease/contactsInLease, time.Millisecond)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	contact := time.Now() // monotonic: a clock that jumps cuts nobody off
	for {
		began := time.Now()
		once, cancel := context.WithTimeout(ctx, every)
		err := a.conns.Reach(once)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			contact = began
		} else {
			a.log.WithError(err).Debug("the cluster is out of reach")
		}
		a.setCutOff(time.Since(contact) > a.config.PartitionLease)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// setCutOff wakes the workers when the node's lease runs out or is regained.
func (a *Agent) setCutOff(cutOff bool) {
	if a.cutOff.Swap(cutOff) == cutOff {
		return
	}
	if cutOff {
		a.log.Warnf("cut off from the cluster for longer than %s", a.config.PartitionLease)
	} else {
		a.log.Info("the cluster is reached again")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		w.contact()
	}
}
