// Package boot starts processes: configuration, logging, health and metrics, signals and an orderly end.
package boot

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// EnvPrefix heads every environment variable that stands for a flag: --data-dir is RUTTER_DATA_DIR.
const EnvPrefix = "RUTTER_"

// Source says where a setting came from.
type Source string

// The sources, the strongest first.
const (
	FromFlag    Source = "flag"
	FromEnv     Source = "environment"
	FromFile    Source = "file"
	FromDefault Source = "default"
)

// EnvName is the environment variable of a flag.
func EnvName(flag string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Configure gives every flag that was not set on the command line its value from the environment or else from the YAML file, whose keys
// are the flags' names. A key that is no flag, or a value that its flag refuses, is an error that names it. file may be empty.
func Configure(flags *pflag.FlagSet, file string, getenv func(string) (string, bool)) (map[string]Source, error) {
	settings, err := readFile(file)
	if err != nil {
		return nil, err
	}
	sources := map[string]Source{}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if flags.Lookup(key) == nil {
			errs = append(errs, fmt.Errorf("%s: unknown setting %q: want one of those that `rutter config` lists", file, key))
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		sources[f.Name] = FromDefault
		value, where := "", ""
		switch env, ok := getenv(EnvName(f.Name)); {
		case f.Changed:
			sources[f.Name] = FromFlag
			return
		case ok:
			sources[f.Name], value, where = FromEnv, env, EnvName(f.Name)
		default:
			v, ok := settings[f.Name]
			if !ok {
				return
			}
			sources[f.Name], value, where = FromFile, v, file+": "+f.Name
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
	})
	return sources, errors.Join(errs...)
}

// readFile reads a settings file: scalars, or lists of scalars.
func readFile(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	var raw map[string]any
	if err := yaml.UnmarshalStrict(data, &raw); err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", file, err)
	}
	settings := map[string]string{}
	for key, value := range raw {
		switch v := value.(type) {
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = fmt.Sprint(v[i])
			}
			settings[key] = strings.Join(parts, ",")
		case map[string]any:
			var parts []string
			for _, k := range slices.Sorted(maps.Keys(v)) {
				parts = append(parts, k+"="+fmt.Sprint(v[k]))
			}
			settings[key] = strings.Join(parts, ",")
		default:
			settings[key] = fmt.Sprint(v)
		}
	}
	return settings, nil
}

// PrintConfig lists every setting, its value and where that came from.
func PrintConfig(out io.Writer, flags *pflag.FlagSet, sources map[string]Source) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM\tENVIRONMENT")
	flags.VisitAll(func(f *pflag.Flag) {
		if source, ok := sources[f.Name]; ok {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Name, f.Value, source, EnvName(f.Name))
		}
	})
	return w.Flush()
}
