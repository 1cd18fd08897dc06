package reconciler_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has the properties look at the same histories in every run, unless a seed is given: what a run finds, the next one finds as well.
// To look further: go test ./services/reconciler -rapid.seed=0 -rapid.checks=5000 (0 draws a seed).
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.seed" })
	if !given {
		_ = flag.Set("rapid.seed", "20300102") // there is such a flag: rapid defines it
	}
	os.Exit(m.Run())
}
