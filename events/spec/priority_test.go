package spec_test

import (
	"encoding/json"
	"testing"

	"github.com/rutter-run/rutter/events/spec"
)

func TestAPriorityIsAClassOrANumber(t *testing.T) {
	for text, want := range map[string]spec.Priority{`"low"`: -1000, `"normal"`: 0, `"high"`: 1000, `"critical"`: 1_000_000, `7`: 7, `-7`: -7} {
		var p spec.Priority
		if err := json.Unmarshal([]byte(text), &p); err != nil || p != want {
			t.Errorf("%s is %d (%v), want %d", text, p, err, want)
		}
		if back, err := json.Marshal(p); err != nil || string(back) != text {
			t.Errorf("%d is written %s (%v), want %s", p, back, err, text)
		}
	}
	for _, text := range []string{`"urgent"`, `"7"`, `1.5`, `true`, `9999999999`} {
		var p spec.Priority
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s is taken as %d", text, p)
		}
	}
	if len(spec.Priority(2_000_000_000).Validate("spec.priority")) != 1 || len(spec.PriorityLow.Validate("spec.priority")) != 0 {
		t.Error("the bounds do not hold")
	}
}
