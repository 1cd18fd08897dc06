package trace_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/services/scheduler/placement"
	"github.com/rutter-run/rutter/services/scheduler/trace"
)

// made is a small cluster and what arrives at it.
func made(t *testing.T) trace.Trace {
	t.Helper()
	var nodes, pods strings.Builder
	nodes.WriteString("sn,cpu_milli,memory_mib,gpu,model\n")
	for n := range 12 {
		fmt.Fprintf(&nodes, "node-%02d,%d,262144,%d,%s\n", n, 32000+16000*(n%3), []int{2, 4, 8}[n%3], []string{"A", "B"}[n%2])
	}
	pods.WriteString("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time\n")
	for n := range 90 {
		gpus, milli, model := 1, 1000, ""
		switch n % 9 {
		case 0:
			gpus, milli = 0, 0
		case 1, 2, 3:
			milli = 100 * (2 + n%7)
		case 4:
			gpus = 2
		case 5:
			model = "A"
		case 6:
			gpus, model = 4, "A|B"
		}
		fmt.Fprintf(&pods, "pod-%03d,%d,%d,%d,%d,%s,%d\n", n, 1000*(1+n%11), 4096*(1+n%5), gpus, milli, model, 1000-n)
	}
	var made trace.Trace
	var err error
	if made.Nodes, err = trace.ReadNodes(strings.NewReader(nodes.String())); err != nil {
		t.Fatal(err)
	}
	if made.Pods, err = trace.ReadPods(strings.NewReader(pods.String())); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEveryPolicyPlaysATraceTheSameTwice(t *testing.T) {
	played := made(t)
	placed := map[string]float64{}
	for _, f := range placement.DefaultPolicy().Profiles {
		first := play(t, played, f.Name, 7)
		if again := play(t, played, f.Name, 7); !reflect.DeepEqual(first, again) {
			t.Errorf("%s decides otherwise the second time", f.Name)
		}
		p, ok := first.At(100)
		if !ok || p.Allocated <= 60 || p.Allocated > 100 || p.Fragmentation < 0 || p.Fragmentation > 100 {
			t.Errorf("%s at 100 %%: %+v, %v", f.Name, p, ok)
		}
		if first.Unplaced == 0 {
			t.Errorf("%s: 130 %% fit into 100", f.Name)
		}
		placed[f.Name] = p.Allocated
	}
	if placed[placement.ProfileFGD] < placed[placement.ProfileRandom] {
		t.Errorf("minding fragmentation places %.1f %%, drawing lots %.1f %%", placed[placement.ProfileFGD], placed[placement.ProfileRandom])
	}
}

func TestArrivalsReachTheRatio(t *testing.T) {
	played := made(t)
	for _, ratio := range []float64{0.5, 1.3, 2} {
		var asked spec.GPUs
		arrivals := played.Arrivals(3, ratio)
		for _, p := range arrivals {
			asked += p.Requests.GPU
		}
		if got := float64(asked) / float64(played.GPUs()); got < ratio || got > ratio+0.1 {
			t.Errorf("%.2f times the GPUs, want %.2f", got, ratio)
		}
	}
	if fmt.Sprint(played.Arrivals(3, 1.3)) == fmt.Sprint(played.Arrivals(4, 1.3)) {
		t.Error("another seed gives the same order")
	}
	if in := played.InOrder(); in[0].Name != "pod-089" || len(in) != 90 {
		t.Errorf("first of %d came %s", len(in), in[0].Name)
	}
}

func TestListsSayWhatIsWrongWithThem(t *testing.T) {
	for list, want := range map[string]string{
		"":                                 "no header line",
		"sn,cpu_milli\nn1,1":               "no column gpu: want sn, cpu_milli, gpu at least",
		"sn,cpu_milli,gpu\nn1,1,2\nn2,x,2": `line 3, column cpu_milli: "x": want a number`,
		"sn,cpu_milli,gpu\n\"n1,1,2":       "list of nodes",
	} {
		if _, err := trace.ReadNodes(strings.NewReader(list)); !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", list, err, want)
		}
	}
	if _, err := (trace.Trace{}).Run(nil, placement.DefaultPolicy(), "fgd"); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("no GPUs: %v", err)
	}
	if _, err := made(t).Run(nil, placement.DefaultPolicy(), "none"); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("no such profile: %v", err)
	}
}

func TestAPlotIsXML(t *testing.T) {
	var out bytes.Buffer
	if err := trace.Plot(&out, [][]trace.Result{{play(t, made(t), "fgd", 1), play(t, made(t), "fgd", 2)}, {play(t, made(t), "random", 1)}}); err != nil {
		t.Fatal(err)
	}
	curves := 0
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "polyline" {
			curves++
		}
	}
	if curves != 2 {
		t.Errorf("%d curves, want 2", curves)
	}
}
