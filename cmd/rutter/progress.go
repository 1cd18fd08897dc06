package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// progress tells how far something is: on a terminal in one line that is written over, else a line for each news.
type progress struct {
	out   io.Writer
	live  bool
	width int
	last  string
}

func (c *cli) newProgress() *progress {
	p := &progress{out: c.err, width: 100}
	if file, ok := c.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.live = true
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 10 {
			p.width = width - 1
		}
	}
	return p
}

// tell shows where it is now.
func (p *progress) tell(line string) {
	if line == p.last {
		return
	}
	p.last = line
	if p.live {
		fmt.Fprint(p.out, "\r\033[K"+cutTo(line, p.width))
		return
	}
	fmt.Fprintln(p.out, line)
}

// end takes the live line away, so that what comes next stands on a clean one.
func (p *progress) end() {
	if p.live && p.last != "" {
		fmt.Fprint(p.out, "\r\033[K")
	}
	p.last = ""
}

// cutTo shortens a text to so many characters.
func cutTo(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:max(0, width-1)]) + "…"
}
