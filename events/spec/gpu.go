package spec

import (
	"math"
	"strconv"
	"strings"
)

// GPUs is an amount of GPUs in thousandths of a device. In documents it is a number: 2 devices, or 0.5 of one, which others may share.
type GPUs int64

// Device is one whole GPU.
const Device GPUs = 1000

const wantGPUs = "whole GPUs such as 2, or less than one such as 0.5 or 500m"

// String implements fmt.Stringer as documents write it.
func (g GPUs) String() string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(float64(g)/1000, 'f', 3, 64), "0"), ".")
}

// MarshalJSON implements json.Marshaler.
func (g GPUs) MarshalJSON() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalJSON implements json.Unmarshaler. It refuses what is not an amount.
func (g *GPUs) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	q, err := parseQuantity(data, wantGPUs)
	if err != nil {
		return err
	}
	milli := q.MilliValue()
	if milli > math.MaxInt32*1000 {
		return notA(data, wantGPUs)
	}
	*g = GPUs(milli)
	return nil
}

// Whole is how many whole devices are asked for; 0: a share of one, or none.
func (g GPUs) Whole() int { return int(g / Device) }

// validateRequest reports an amount that no container can be given: several devices are given whole.
func (g GPUs) validateRequest(field string) (errs Errors) {
	if g > Device && g%Device != 0 {
		errs.add(field, g.String(), "whole GPUs, or less than one")
	}
	return errs
}
