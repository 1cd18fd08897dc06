package trace

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// ModelLabel is the node label that holds the model of a node's GPUs.
const ModelLabel = "gpu-model"

// Node is a machine of a trace.
type Node struct {
	Name     string
	Capacity spec.Resources
	Model    string // of its GPUs
}

// Pod is an arrival of a trace.
type Pod struct {
	Name     string
	Requests spec.Resources
	Models   []string // that will do; any where empty
	Created  int64    // when it arrived; 0 where the list does not say
}

// table reads a CSV list by the names of its columns.
type table struct {
	what    string
	columns map[string]int
	row     []string
	line    int
	err     error
}

func (t *table) text(name string) string {
	at, ok := t.columns[name]
	if !ok || at >= len(t.row) {
		return ""
	}
	return strings.TrimSpace(t.row[at])
}

func (t *table) number(name string) int64 {
	text := t.text(name)
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if (err != nil || f < 0 || f > 1e15) && t.err == nil {
		t.err = fmt.Errorf("%s, line %d, column %s: %q: want a number from 0 on: %w", t.what, t.line, name, text, events.ErrInvalid)
	}
	return int64(f)
}

// read goes through a list; each of the columns must be there.
func read(r io.Reader, what string, each func(*table), columns ...string) error {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1
	head, err := rows.Read()
	if err != nil {
		return fmt.Errorf("%s: no header line: %w: %w", what, events.ErrInvalid, err)
	}
	t := &table{what: what, columns: map[string]int{}, line: 1}
	for at, name := range head {
		t.columns[strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))] = at
	}
	for _, name := range columns {
		if _, ok := t.columns[name]; !ok {
			return fmt.Errorf("%s: no column %s: want %s at least: %w", what, name, strings.Join(columns, ", "), events.ErrInvalid)
		}
	}
	for {
		t.row, err = rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %w", what, events.ErrInvalid, err)
		}
		t.line++
		if each(t); t.err != nil {
			return t.err
		}
	}
}

// ReadNodes reads a list of nodes: sn, cpu_milli, memory_mib, gpu, model.
func ReadNodes(r io.Reader) (all []Node, err error) {
	err = read(r, "list of nodes", func(t *table) {
		all = append(all, Node{
			Name: t.text("sn"), Model: t.text("model"),
			Capacity: spec.Resources{
				CPU: spec.CPU(t.number("cpu_milli")), Memory: spec.Bytes(t.number("memory_mib")) << 20, GPU: spec.GPUs(t.number("gpu")) * spec.Device,
			},
		})
	}, "sn", "cpu_milli", "gpu")
	return all, err
}

// ReadPods reads a list of arrivals: name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, creation_time. The last three may be missing.
func ReadPods(r io.Reader) (all []Pod, err error) {
	err = read(r, "list of pods", func(t *table) {
		p := Pod{
			Name: t.text("name"), Created: t.number("creation_time"),
			Requests: spec.Resources{CPU: spec.CPU(t.number("cpu_milli")), Memory: spec.Bytes(t.number("memory_mib")) << 20},
		}
		if n := t.number("num_gpu"); n > 0 {
			p.Requests.GPU = spec.GPUs(n) * spec.Device
			if share := t.number("gpu_milli"); n == 1 && share > 0 && share < int64(spec.Device) {
				p.Requests.GPU = spec.GPUs(share)
			}
		}
		for model := range strings.SplitSeq(t.text("gpu_spec"), "|") {
			if model != "" {
				p.Models = append(p.Models, model)
			}
		}
		slices.Sort(p.Models)
		all = append(all, p)
	}, "name", "cpu_milli", "num_gpu")
	return all, err
}

// instance is the pod as the scheduler knows instances.
func (p Pod) instance() *spec.InstanceSpec {
	s := &spec.InstanceSpec{Containers: []spec.Container{{Name: "main", Resources: spec.Requirements{Requests: p.Requests}}}}
	if len(p.Models) > 0 {
		s.Affinity = &spec.Affinity{Node: &spec.NodeAffinity{Required: []spec.NodeTerm{{
			MatchExpressions: []spec.Expression{{Key: ModelLabel, Operator: spec.OpIn, Values: p.Models}},
		}}}}
	}
	return s
}

// shape names what pods share that ask for the same.
func (p Pod) shape() string {
	return fmt.Sprintf("cpu %s memory %s gpu %s of %s", p.Requests.CPU, p.Requests.Memory, p.Requests.GPU, strings.Join(p.Models, "|"))
}
