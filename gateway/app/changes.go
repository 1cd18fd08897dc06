package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// changesBetween lists the fields in which two documents differ, by path. It is pure.
func changesBetween(before, after spec.Workload) []api.Change {
	from, to := map[string]string{}, map[string]string{}
	flatten("", plain(before), from)
	flatten("", plain(after), to)
	var changes []api.Change
	paths := maps.Clone(from)
	maps.Copy(paths, to)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if from[path] != to[path] {
			changes = append(changes, api.Change{Field: path, From: from[path], To: to[path]})
		}
	}
	return changes
}

// plain is the document as maps, lists and scalars. Documents of this program always encode.
func plain(w spec.Workload) (v any) {
	data, err := json.Marshal(w)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		return nil
	}
	return v
}

func flatten(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			at := key
			if path != "" {
				at = path + "." + key
			}
			flatten(at, value, into)
		}
	case []any:
		for i, value := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), value, into)
		}
	default:
		text, err := json.Marshal(v)
		if err != nil {
			text = fmt.Append(nil, v)
		}
		if s, ok := v.(string); ok {
			text = []byte(s)
		}
		into[path] = string(text)
	}
}
