package spec

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StrategyType says how a new revision takes the place of the old one.
type StrategyType string

// The strategies.
const (
	Rolling  StrategyType = "rolling"  // a few at a time
	Recreate StrategyType = "recreate" // all old ones stop, then the new ones start
	Canary   StrategyType = "canary"   // a few try it; the others follow when it is promoted
)

// StrategyTypes lists the strategies.
var StrategyTypes = []StrategyType{Rolling, Recreate, Canary}

// OnFailure says what becomes of a roll-out that gets nowhere.
type OnFailure string

// What becomes of a roll-out that gets nowhere.
const (
	FailureRollback OnFailure = "rollback" // back to the last revision that was whole
	FailurePause    OnFailure = "pause"    // it stops where it is
)

// Strategy is how a new revision takes the place of the old one.
type Strategy struct {
	Type             StrategyType `json:"type,omitempty"`            // rolling where empty
	MaxSurge         Portion      `json:"maxSurge,omitempty"`        // how many there may be too many; 0 where empty
	MaxUnavailable   Portion      `json:"maxUnavailable,omitempty"`  // how many may be missing; 1 where empty, 0 where maxSurge is given
	Canary           Portion      `json:"canary,omitempty"`          // how many try it first; 1 where empty
	ProgressDeadline Duration     `json:"progressDeadline,omitzero"` // without a step forward for so long it has failed; 10m where zero
	OnFailure        OnFailure    `json:"onFailure,omitempty"`       // rollback where empty
}

// DefaultProgressDeadline is how long a roll-out may stand still.
const DefaultProgressDeadline = Duration(10 * time.Minute)

// Default fills what the user may leave out.
func (s *Strategy) Default() {
	if s.Type == "" {
		s.Type = Rolling
	}
	if s.Type != Recreate {
		if s.MaxUnavailable == "" {
			s.MaxUnavailable = "1"
			if s.MaxSurge.Of(MaxReplicas, true) > 0 {
				s.MaxUnavailable = "0"
			}
		}
		if s.MaxSurge == "" {
			s.MaxSurge = "0"
		}
	}
	if s.Type == Canary && s.Canary == "" {
		s.Canary = "1"
	}
	if s.ProgressDeadline == 0 {
		s.ProgressDeadline = DefaultProgressDeadline
	}
	if s.OnFailure == "" {
		s.OnFailure = FailureRollback
	}
}

// Validate reports every fault of the strategy, with field as the path.
func (s Strategy) Validate(field string) (errs Errors) {
	if !slices.Contains(StrategyTypes, s.Type) {
		errs.add(field+".type", string(s.Type), "rolling, recreate or canary")
	}
	errs = append(errs, s.MaxSurge.Validate(field+".maxSurge")...)
	errs = append(errs, s.MaxUnavailable.Validate(field+".maxUnavailable")...)
	errs = append(errs, s.Canary.Validate(field+".canary")...)
	switch {
	case s.Type == Recreate && (s.MaxSurge != "" || s.MaxUnavailable != ""):
		errs.add(field+".type", string(s.Type), "rolling or canary, or no maxSurge and maxUnavailable")
	case s.Type != Recreate && len(errs) == 0 && s.MaxSurge.Of(MaxReplicas, true) == 0 && s.MaxUnavailable.Of(MaxReplicas, true) == 0:
		errs.add(field+".maxUnavailable", string(s.MaxUnavailable), "at least 1, or a maxSurge: else nothing could ever change")
	}
	if s.Type != Canary && s.Canary != "" {
		errs.add(field+".canary", string(s.Canary), "nothing, or the type canary")
	} else if s.Type == Canary && len(errs) == 0 && s.Canary.Of(MaxReplicas, true) == 0 {
		errs.add(field+".canary", string(s.Canary), "at least 1")
	}
	if s.ProgressDeadline < 0 {
		errs.add(field+".progressDeadline", s.ProgressDeadline.String(), "0s (10m) or longer")
	}
	switch s.OnFailure {
	case FailureRollback, FailurePause:
	default:
		errs.add(field+".onFailure", string(s.OnFailure), "rollback or pause")
	}
	return errs
}

// Portion is a number, such as 2, or a share, such as 25%. The empty Portion is nothing.
type Portion string

// UnmarshalJSON implements json.Unmarshaler: a number, or a string that holds a number or a share.
func (p *Portion) UnmarshalJSON(data []byte) error {
	var number json.Number
	if len(data) > 0 && data[0] != '"' {
		if err := json.Unmarshal(data, &number); err != nil {
			return notA(data, "a number such as 2, or a share such as 25%")
		}
		*p = Portion(number.String())
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*p = Portion(text)
	return nil
}

// read is the number, and whether it is a share in hundredths.
func (p Portion) read() (n int, share, ok bool) {
	text, share := strings.CutSuffix(string(p), "%")
	n, err := strconv.Atoi(text)
	return n, share, err == nil && n >= 0
}

// Of is how many that is of so many; a share is rounded up or down.
func (p Portion) Of(whole int, up bool) int {
	n, share, ok := p.read()
	switch {
	case !ok:
		return 0
	case !share:
		return n
	case up:
		return (whole*n + 99) / 100
	}
	return whole * n / 100
}

// Validate reports what is neither a number nor a share.
func (p Portion) Validate(field string) (errs Errors) {
	if p == "" {
		return nil
	}
	if n, share, ok := p.read(); !ok || share && n > 100 || n > MaxReplicas {
		errs.add(field, string(p), "a number such as 2, or a share from 0%% to 100%%")
	}
	return errs
}
