package catalog_test

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// words are sample values of text fields by name; the rest says its own name.
var words = map[string]string{
	"APIVersion": spec.APIVersion, "Kind": spec.KindWorkload, "Namespace": "default", "Workload": "web", "Name": "web",
	"Container": "main", "Node": "n1", "Registry": "registry.example.com:5000", "Repository": "shop/web", "Tag": "1.27",
	"Digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "StopSignal": "SIGTERM", "User": "1000:1000",
	"Subject": "cmd.workload.default.web", "Type": "service", "Actor": "user:ada", "WorkingDir": "/srv", "Address": "10.0.0.7",
	"MaxSurge": "25%", "MaxUnavailable": "1", "Canary": "1",
}

// fill sets every field that is not set.
func fill(payload events.Payload) events.Payload {
	v := reflect.New(reflect.TypeOf(payload)).Elem()
	v.Set(reflect.ValueOf(payload))
	set(v, "")
	return v.Interface().(events.Payload)
}

func set(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case time.Time:
		if v.IsZero() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 12, 0, 0, 123000000, time.UTC)))
		}
		return
	case json.RawMessage:
		if v.IsZero() {
			v.Set(reflect.ValueOf(json.RawMessage(`{"replicas":3}`)))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		set(v.Elem(), name)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			set(v.Index(i), name)
		}
	case reflect.Map:
		if v.Len() == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			value := reflect.New(v.Type().Elem()).Elem()
			set(value, name)
			v.SetMapIndex(reflect.ValueOf("example.com/key").Convert(v.Type().Key()), value)
		}
	default:
		if v.IsZero() {
			setScalar(v, name)
		}
	}
}

func setScalar(v reflect.Value, name string) {
	switch {
	case v.Kind() == reflect.String:
		word, ok := words[name]
		if !ok {
			word = name
		}
		v.SetString(word)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1500)
	case v.CanUint():
		v.SetUint(7)
	case v.CanFloat():
		v.SetFloat(0.5)
	}
}

// empty names the fields that are not set.
func empty(payload events.Payload) []string {
	return missing(reflect.ValueOf(payload), reflect.TypeOf(payload).Name())
}

func missing(v reflect.Value, path string) (paths []string) {
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			break
		}
		for i := range v.NumField() {
			paths = append(paths, missing(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return paths
	case reflect.Pointer:
		if !v.IsNil() {
			return missing(v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			paths = append(paths, missing(v.Index(i), path+"[]")...)
		}
		if v.Len() > 0 {
			return paths
		}
	}
	if v.IsZero() {
		return []string{path}
	}
	return nil
}
