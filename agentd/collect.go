package agentd

import (
	"context"
	"time"

	"github.com/rutter-run/rutter/events/spec"
)

// collectEvery is how often the node looks whether images have to make room.
const collectEvery = time.Minute

// collect removes images that nothing needs when the disk gets full.
func (a *Agent) collect(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-a.full:
		}
		keep, ok := a.imagesWished()
		if !ok {
			continue
		}
		removed, err := a.runtime.CollectImages(ctx, keep)
		for _, image := range removed {
			a.log.WithField("image", image.Ref.String()).WithField("bytes", image.Size).Info("removed an image to make room")
		}
		if err != nil && ctx.Err() == nil {
			a.log.WithError(err).Warn("images were not removed to make room")
		}
	}
}

// collectSoon has collect look at once.
func (a *Agent) collectSoon() {
	select {
	case a.full <- struct{}{}:
	default:
	}
}

// imagesWished are the images of all instances of the node, those included whose containers are yet to start. Before the ledger is
// read nobody knows them.
func (a *Agent) imagesWished() (all []spec.ImageRef, ok bool) {
	if ready, _ := a.Ready(); !ready {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		for _, c := range w.assignment.Spec.Containers {
			all = append(all, c.Image)
		}
	}
	return all, true
}
