//go:build !race

package past_test

// points are looked at by way of snapshots, the first fromFirst of them from the first event as well.
const points, fromFirst = 1000, 1000
