// Package replay keeps histories that earlier versions recorded and folds them again: what happened stays what happened, whatever has
// become of the event types and of the state that they fold into.
//
// A history is testdata/NAME.jsonl.zst, one CloudEvents document a line, as record.sh makes it from real processes, or the simulation from its
// weather. Beside it NAME.json holds what it led to: the facts, which never change again, and the hash of the state, which
// belongs to one [projections.Version].
package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/projections"
)

// Facts are what a history led to, in words that every version has.
type Facts struct {
	Events    int               `json:"events"`
	Sequence  uint64            `json:"sequence"`
	Workloads map[string]string `json:"workloads"` // namespace/name → revision, wished replicas
	Instances map[string]string `json:"instances"` // namespace/name → revision, attempt, node, phase
	Nodes     map[string]string `json:"nodes"`
	Outcomes  map[string]int    `json:"outcomes"` // of commands: accepted, or the code of the refusal
}

// Record is what was recorded of a history.
type Record struct {
	Version int    `json:"version"` // of the projections whose hash it is
	Hash    string `json:"hash"`
	Facts   Facts  `json:"facts"`
}

// Read reads a history. A type that this version does not know, or cannot read, is an error: old logs are read for ever.
func Read(file string) ([]events.Event, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	unzipped, err := zstd.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer unzipped.Close()
	registry := catalog.New()
	var all []events.Event
	const longest = 8 << 20
	lines := bufio.NewScanner(unzipped)
	for lines.Buffer(nil, longest); lines.Scan(); {
		e, err := cloudevent.FromJSON(registry, lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, len(all)+1, err)
		}
		switch data := e.Data.(type) {
		case events.Unknown:
			return nil, fmt.Errorf("%s, line %d: this version does not know %s any more", file, len(all)+1, data.Type)
		case events.Malformed:
			return nil, fmt.Errorf("%s, line %d: this version cannot read %s any more: %s", file, len(all)+1, data.Type, data.Problem)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// Fold is what a history leads to now.
func Fold(all []events.Event) Record {
	state := projections.NewState()
	for _, e := range all {
		state.Apply(e)
	}
	view := state.View()
	facts := Facts{
		Events: len(all), Sequence: view.Sequence(),
		Workloads: map[string]string{}, Instances: map[string]string{}, Nodes: map[string]string{}, Outcomes: map[string]int{},
	}
	for w := range view.Workloads() {
		text := fmt.Sprintf("revision %d, %d wished", w.Revision, w.Replicas())
		if w.Deleted {
			text = fmt.Sprintf("revision %d, deleted", w.Revision)
		}
		facts.Workloads[w.Namespace+"/"+w.Name] = text
	}
	for i := range view.Instances() {
		facts.Instances[i.Key.String()] = strings.TrimSuffix(fmt.Sprintf("revision %d, attempt %d, %s, on %s", i.Revision, i.Attempt, i.Phase, i.Node), ", on ")
	}
	for n := range view.Nodes() {
		facts.Nodes[n.Name] = n.State()
	}
	for o := range view.Outcomes() {
		if o.Accepted {
			facts.Outcomes["accepted"]++
		} else {
			facts.Outcomes[string(o.Code)]++
		}
	}
	return Record{Version: projections.Version, Hash: view.Hash(), Facts: facts}
}

// Check folds every history of the folder and compares. With update it writes the hash of this version anew, and the whole record where there
// is none; facts it never changes.
func Check(folder string, update bool) (names []string, err error) {
	histories, err := filepath.Glob(filepath.Join(folder, "*.jsonl.zst"))
	if err != nil || len(histories) == 0 {
		return nil, errors.Join(fmt.Errorf("no history in %s", folder), err)
	}
	var faults []error
	for _, history := range histories {
		names = append(names, strings.TrimSuffix(filepath.Base(history), ".jsonl.zst"))
		if err := check(history, update); err != nil {
			faults = append(faults, err)
		}
	}
	return names, errors.Join(faults...)
}

func check(history string, update bool) error {
	all, err := Read(history)
	if err != nil {
		return err
	}
	now := Fold(all)
	file := strings.TrimSuffix(history, ".jsonl.zst") + ".json"
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && update {
		return write(file, now)
	}
	if err != nil {
		return err
	}
	var then Record
	if err := json.Unmarshal(data, &then); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !reflect.DeepEqual(then.Facts, now.Facts) {
		return fmt.Errorf("%s leads to other facts than it did:\n%s", history, difference(then.Facts, now.Facts))
	}
	switch {
	case then.Version == now.Version && then.Hash != now.Hash:
		return fmt.Errorf("%s: the same events give another hash (%s, was %s): raise projections.Version, then run go test ./integration/replay -update", history, now.Hash, then.Hash)
	case then.Version != now.Version && update:
		return write(file, now)
	}
	return nil
}

func write(file string, r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// difference lists what is not the same, a line each.
func difference(then, now Facts) string {
	var lines []string
	a, b := flat(then), flat(now)
	for key, value := range a {
		if b[key] != value {
			lines = append(lines, fmt.Sprintf("  %s: was %q, is %q", key, value, b[key]))
		}
	}
	for key, value := range b {
		if _, ok := a[key]; !ok {
			lines = append(lines, fmt.Sprintf("  %s: was not there, is %q", key, value))
		}
	}
	return strings.Join(lines, "\n")
}

func flat(f Facts) map[string]string {
	all := map[string]string{"events": fmt.Sprint(f.Events), "sequence": fmt.Sprint(f.Sequence)}
	for kind, m := range map[string]map[string]string{"workload": f.Workloads, "instance": f.Instances, "node": f.Nodes} {
		for name, text := range m {
			all[kind+"/"+name] = text
		}
	}
	for code, n := range f.Outcomes {
		all["outcome "+code] = fmt.Sprint(n)
	}
	return all
}
