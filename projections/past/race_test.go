//go:build race

package past_test

// The race detector makes folding many times slower; it has seen enough after these.
const points, fromFirst = 100, 8
