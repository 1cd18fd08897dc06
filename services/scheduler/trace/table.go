package trace

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Summary is what several runs of one policy have in common.
type Summary struct {
	Profile       string  `json:"policy"`
	Seeds         int     `json:"seeds"`
	Arrived       int     `json:"arrived"`       // in percent of the cluster's GPUs, where the figures were taken
	Allocated     float64 `json:"allocated"`     // mean over the seeds, in percent
	Deviation     float64 `json:"deviation"`     // of that, the standard one
	Fragmentation float64 `json:"fragmentation"` // mean, in percent
	Unplaced      float64 `json:"unplaced"`      // mean number of tasks at the end of the run
}

// Summarise brings the runs of one policy together, at a percentage of arrived load; where a run ends before, at its end.
func Summarise(runs []Result, percent int) Summary {
	s := Summary{Seeds: len(runs), Arrived: percent}
	var all []float64
	for _, r := range runs {
		s.Profile = r.Profile
		p, _ := r.At(percent)
		s.Arrived = min(s.Arrived, p.Arrived)
		all = append(all, p.Allocated)
		s.Allocated += p.Allocated / float64(len(runs))
		s.Fragmentation += p.Fragmentation / float64(len(runs))
		s.Unplaced += float64(r.Unplaced) / float64(len(runs))
	}
	if len(all) > 1 {
		for _, a := range all {
			s.Deviation += (a - s.Allocated) * (a - s.Allocated) / float64(len(all)-1)
		}
		s.Deviation = math.Sqrt(s.Deviation)
	}
	return s
}

// colours of the curves of a plot, told apart also by those who see few.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#7f3b08", "#8073ac"}

// Plot draws what was allocated over what had arrived, the mean of the runs of each policy, as SVG.
func Plot(w io.Writer, runs [][]Result) error {
	const left, top, width, height = 60.0, 20.0, 640.0, 400.0
	most := 1
	for _, of := range runs {
		for _, r := range of {
			if n := len(r.Points); n > 0 {
				most = max(most, r.Points[n-1].Arrived)
			}
		}
	}
	x := func(percent float64) float64 { return left + width*percent/float64(most) }
	y := func(percent float64) float64 { return top + height*(1-percent/100) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 470" font-family="sans-serif" font-size="12">`+"\n")
	fmt.Fprintf(&b, `<rect width="900" height="470" fill="white"/>`+"\n")
	for p := 0; p <= 100; p += 20 {
		fmt.Fprintf(&b, `<path d="M%.0f %.1fH%.0f" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end">%d</text>`+"\n", left, y(float64(p)), left+width, left-6, y(float64(p))+4, p)
	}
	for p := 0; p <= most; p += 20 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle">%d</text>`+"\n", x(float64(p)), top+height+18, p)
	}
	fmt.Fprintf(&b, `<text x="%.0f" y="460" text-anchor="middle">arrived, %% of GPUs</text>`+"\n", left+width/2)
	fmt.Fprintf(&b, `<text transform="translate(16 %.0f) rotate(-90)" text-anchor="middle">allocated, %% of GPUs</text>`+"\n", top+height/2)
	for n, of := range runs {
		if len(of) == 0 {
			continue
		}
		colour := colours[n%len(colours)]
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
		for percent := 0; percent <= most; percent++ {
			sum, count := 0.0, 0
			for _, r := range of {
				if p, ok := r.At(percent); ok {
					sum, count = sum+p.Allocated, count+1
				}
			}
			if count > 0 {
				fmt.Fprintf(&b, "%.1f,%.1f ", x(float64(percent)), y(sum/float64(count)))
			}
		}
		line := top + 14 + 18*float64(n)
		fmt.Fprintf(&b, `"/>`+"\n"+`<path d="M720 %.0fh24" stroke="%s" stroke-width="3"/><text x="750" y="%.0f">%s</text>`+"\n", line, colour, line+4, of[0].Profile)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
