package spec

import (
	"encoding/json"
	"testing"
)

func TestAPortionIsANumberOrAShare(t *testing.T) {
	for _, c := range []struct {
		json     string
		whole    int
		down, up int
		valid    bool
	}{
		{`2`, 10, 2, 2, true},
		{`"3"`, 10, 3, 3, true},
		{`"25%"`, 10, 2, 3, true},
		{`"0%"`, 10, 0, 0, true},
		{`"100%"`, 7, 7, 7, true},
		{`"101%"`, 100, 101, 101, false},
		{`"-1"`, 10, 0, 0, false},
		{`"many"`, 10, 0, 0, false},
		{`2.5`, 10, 0, 0, false},
	} {
		var p Portion
		if err := json.Unmarshal([]byte(c.json), &p); err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if down, up := p.Of(c.whole, false), p.Of(c.whole, true); down != c.down || up != c.up || (len(p.Validate("p")) == 0) != c.valid {
			t.Errorf("%s of %d is %d or %d, faults %v", c.json, c.whole, down, up, p.Validate("p"))
		}
	}
	var p Portion
	if err := json.Unmarshal([]byte(`[1]`), &p); err == nil {
		t.Error("a list is a portion")
	}
}

func TestAStrategyIsWhole(t *testing.T) {
	for _, c := range []struct {
		name  string
		given Strategy
		want  Strategy // zero: it is refused
	}{
		{"empty", Strategy{}, Strategy{Type: Rolling, MaxSurge: "0", MaxUnavailable: "1", ProgressDeadline: DefaultProgressDeadline, OnFailure: FailureRollback}},
		{"surge", Strategy{MaxSurge: "1"}, Strategy{Type: Rolling, MaxSurge: "1", MaxUnavailable: "0", ProgressDeadline: DefaultProgressDeadline, OnFailure: FailureRollback}},
		{"canary", Strategy{Type: Canary}, Strategy{Type: Canary, MaxSurge: "0", MaxUnavailable: "1", Canary: "1", ProgressDeadline: DefaultProgressDeadline, OnFailure: FailureRollback}},
		{"recreate", Strategy{Type: Recreate, OnFailure: FailurePause}, Strategy{Type: Recreate, ProgressDeadline: DefaultProgressDeadline, OnFailure: FailurePause}},
		{"nothing may change", Strategy{MaxSurge: "0%", MaxUnavailable: "0"}, Strategy{}},
		{"recreate with limits", Strategy{Type: Recreate, MaxSurge: "1"}, Strategy{}},
		{"a canary of none", Strategy{Type: Canary, Canary: "0"}, Strategy{}},
		{"a canary without the type", Strategy{Canary: "1"}, Strategy{}},
		{"a type that is none", Strategy{Type: "big-bang"}, Strategy{}},
		{"onFailure that is none", Strategy{OnFailure: "cry"}, Strategy{}},
		{"before now", Strategy{ProgressDeadline: -1}, Strategy{}},
	} {
		s := c.given
		s.Default()
		errs := s.Validate("spec.strategy")
		if (len(errs) == 0) != (c.want != Strategy{}) || (len(errs) == 0 && s != c.want) {
			t.Errorf("%s: %+v, %v", c.name, s, errs)
		}
	}
}
