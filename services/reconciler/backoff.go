package reconciler

import "time"

const (
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
)

// Backoff is how long a slot waits for its next attempt after so many instances in a row ended by themselves: 1 s, doubled up to
// 5 min. It is longer than the agent's own backoff between runs of a container: a new attempt costs a placement.
func Backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(maxBackoff, firstBackoff<<min(failures-1, 20))
}
