package api

import (
	"strings"

	"github.com/rutter-run/rutter/events/spec"
)

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// Problem is an error as RFC 9457 has it.
type Problem struct {
	Type      string            `json:"type" description:"names the kind of error: urn:rutter:problem:<kind>"`
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail,omitempty"`
	Errors    []spec.FieldError `json:"errors,omitempty" description:"every fault of the document"`
	Operation string            `json:"operation,omitempty" description:"id of the command that was rejected"`
	RequestID string            `json:"requestID,omitempty"`
}

// Error implements error: the detail, then the faults one a line.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if len(p.Errors) == 0 {
		return text
	}
	lines := []string{p.Title + ":"}
	for _, e := range p.Errors {
		lines = append(lines, "  "+e.Error())
	}
	return strings.Join(lines, "\n")
}
