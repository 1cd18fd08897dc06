// Command bench measures what Rutter promises, each figure beside its floor in the same run: machines differ and wander, a ratio lasts. It prints
// one JSON line a figure.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rutter-run/rutter/integration/cluster"
)

const namespace = "rutter-bench"

// figure is one line of output.
type figure struct {
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Floor  float64 `json:"floor,omitempty"`
	What   string  `json:"floorIs,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"` // value by floor
	Aim    string  `json:"aim,omitempty"`
	Note   string  `json:"note,omitempty"`
}

// bench is one run.
type bench struct {
	ctx    context.Context
	binary string
	dir    string
}

var figures = []struct {
	name string
	root bool
	run  func(*bench) error
}{
	{"start", true, (*bench).starts},
	{"append", false, (*bench).appends},
	{"fold", false, (*bench).folds},
	{"audit", false, (*bench).audits},
	{"loss", true, (*bench).loss},
	{"idle", true, (*bench).idle},
}

func main() {
	binary := flag.String("binary", "bin/rutter", "the rutter to measure")
	only := flag.String("only", "", "comma-separated: start, append, fold, audit, loss, idle")
	flag.Parse()
	entered, code, err := cluster.Enter(namespace)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if !entered {
		os.Exit(code)
	}
	if err := run(*binary, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary, only string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rutter-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, f := range figures {
		if only != "" && !slices.Contains(strings.Split(only, ","), f.name) {
			continue
		}
		b := &bench{ctx: ctx, binary: binary, dir: filepath.Join(dir, f.name)}
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", f.name)
		if err := f.run(b); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// print prints a figure with its ratio.
func (f figure) print() {
	if f.Floor > 0 {
		f.Ratio = round(f.Value / f.Floor)
	}
	f.Value, f.Floor = round(f.Value), round(f.Floor)
	line, err := json.Marshal(f)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	fmt.Println(string(line))
}

func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median is the middle one.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
