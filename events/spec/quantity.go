package spec

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// CPU is an amount of processor time in thousandths of a core. In documents it is a Kubernetes quantity: "250m", "2", 0.5.
type CPU int64

// Bytes is an amount of memory or disk in bytes. In documents it is a Kubernetes quantity: "64Mi", "1G", 1048576.
type Bytes int64

// Count is an amount of a custom resource, in whole units.
type Count int64

// String implements fmt.Stringer with the shortest Kubernetes quantity.
func (c CPU) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c)/1000, 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// String implements fmt.Stringer with the largest binary unit that is exact.
func (b Bytes) String() string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}
	n, i := int64(b), 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// MarshalJSON implements json.Marshaler.
func (c CPU) MarshalJSON() ([]byte, error) { return []byte(`"` + c.String() + `"`), nil }

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) { return []byte(`"` + b.String() + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler. It refuses what is not a quantity.
func (c *CPU) UnmarshalJSON(data []byte) error {
	const want = "a CPU quantity such as 250m, 0.5 or 2"
	if string(data) == "null" {
		return nil
	}
	q, err := parseQuantity(data, want)
	if err != nil {
		return err
	}
	if q.Cmp(*resource.NewQuantity(math.MaxInt64/1000, resource.DecimalSI)) > 0 {
		return notA(data, want+", and less of it")
	}
	*c = CPU(q.MilliValue())
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It refuses what is not a quantity.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	const want = "a quantity of bytes such as 64Mi, 1G or 1048576"
	if string(data) == "null" {
		return nil
	}
	q, err := parseQuantity(data, want)
	if err != nil {
		return err
	}
	if q.Cmp(*resource.NewQuantity(math.MaxInt64, resource.BinarySI)) >= 0 {
		return notA(data, want+", and less of it")
	}
	*b = Bytes(q.Value())
	return nil
}

func parseQuantity(data []byte, want string) (resource.Quantity, error) {
	text := string(bytes.Trim(data, `"`))
	if text == "" || strings.ContainsAny(text, "\\ ") {
		return resource.Quantity{}, notA(data, want)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return resource.Quantity{}, notA(data, want)
	}
	return q, nil
}

// Duration is a length of time that documents write as Go does: "10s", "1m30s".
type Duration time.Duration

// String implements fmt.Stringer.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON implements json.Unmarshaler. A bare number is seconds, as in Kubernetes.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if n, err := strconv.ParseInt(string(data), 10, 32); err == nil {
		*d = Duration(time.Duration(n) * time.Second)
		return nil
	}
	const want = "a duration such as 10s or 1m30s"
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return notA(data, want)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return notA(data, want)
	}
	*d = Duration(v)
	return nil
}
