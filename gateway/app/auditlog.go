package app

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// AuditFilter chooses entries of the audit log. The zero AuditFilter takes all.
type AuditFilter struct {
	Actor     string // with * for any characters, such as token:*
	Verb      string // such as apply
	Target    string // such as workload/default/web, with * for any characters; a name alone is that of any kind
	Namespace string
	Outcome   string // accepted, rejected or dry-run
	Since     string // a sequence, a time (RFC 3339) or how long ago (-15m)
	Until     string
	Page
}

// The outcomes of commands in the audit log.
const (
	outcomeAccepted = "accepted"
	outcomeRejected = "rejected"
	outcomeDryRun   = "dry-run"
)

// AuditLog lists the commands that were decided on, and the dry runs, oldest first. What was refused before it became a command, for want of a token or
// in a document that is not valid, is in the gateway's own log alone.
func (a *App) AuditLog(ctx context.Context, f AuditFilter) (api.List[api.AuditEntry], error) {
	var none api.List[api.AuditEntry]
	limit, err := f.limit()
	if err != nil {
		return none, err
	}
	if err := f.validate(); err != nil {
		return none, err
	}
	since, until, err := a.span(f)
	if err != nil {
		return none, err
	}
	after := uint64(0)
	if f.Continue != "" {
		if after, err = strconv.ParseUint(f.Continue, 10, 64); err != nil {
			return none, spec.Errors{{Field: "continue", Value: f.Continue, Want: "the value of continue in the page before"}}
		}
	}
	from := max(since.sequence, after+1)
	var all []api.AuditEntry
	for _, service := range events.CommandServices() {
		err := a.Log.Read(ctx, events.CommandSubject(service), from, func(e events.Event) error {
			if until.sequence > 0 && e.Sequence > until.sequence {
				return nil
			}
			entry, ok := entryOf(e)
			if ok && f.matches(entry) && !entry.Time.Before(since.time) && (until.time.IsZero() || !entry.Time.After(until.time)) {
				all = append(all, entry)
			}
			return nil
		})
		if err != nil {
			return none, fmt.Errorf("read the audit log: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b api.AuditEntry) int { return cmp.Compare(a.Sequence, b.Sequence) })
	list := api.List[api.AuditEntry]{Items: all, Sequence: a.View.View().Sequence()}
	if len(all) > limit {
		list.Items = all[:limit]
		list.Continue = strconv.FormatUint(all[limit-1].Sequence, 10)
	}
	if list.Items == nil {
		list.Items = []api.AuditEntry{}
	}
	return list, nil
}

// bound is a sequence or a time.
type bound struct {
	sequence uint64
	time     time.Time
}

func (a *App) span(f AuditFilter) (since, until bound, err error) {
	var faults spec.Errors
	read := func(field, text string) (b bound) {
		if text == "" {
			return b
		}
		if sequence, err := strconv.ParseUint(text, 10, 64); err == nil {
			return bound{sequence: sequence}
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return bound{time: at}
		}
		if ago, err := time.ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
			return bound{time: a.Clock().Add(-ago)}
		}
		faults = append(faults, spec.FieldError{Field: field, Value: text, Want: "a sequence, a time (RFC 3339) or how long ago (-15m)"})
		return b
	}
	return read("since", f.Since), read("until", f.Until), faults.Err()
}

func (f AuditFilter) validate() error {
	var faults spec.Errors
	for field, pattern := range map[string]string{"actor": f.Actor, "target": f.Target} {
		if _, err := path.Match(escaped(pattern), ""); err != nil {
			faults = append(faults, spec.FieldError{Field: field, Value: pattern, Want: "a name, with * for any characters"})
		}
	}
	if f.Outcome != "" && !slices.Contains([]string{outcomeAccepted, outcomeRejected, outcomeDryRun}, f.Outcome) {
		faults = append(faults, spec.FieldError{Field: "outcome", Value: f.Outcome, Want: "accepted, rejected or dry-run"})
	}
	return faults.Err()
}

// escaped makes a pattern whose * also stands for slashes: path.Match takes a slash for the end of a name.
func escaped(text string) string { return strings.ReplaceAll(text, "/", "\x00") }

func like(pattern, text string) bool {
	ok, err := path.Match(escaped(pattern), escaped(text))
	return err == nil && ok
}

// matches is pure.
func (f AuditFilter) matches(e api.AuditEntry) bool {
	parts := strings.Split(e.Target, "/")
	return (f.Actor == "" || like(f.Actor, e.Actor)) &&
		(f.Verb == "" || f.Verb == e.Verb) && (f.Outcome == "" || f.Outcome == e.Outcome) &&
		(f.Target == "" || like(f.Target, e.Target) || like(f.Target, parts[len(parts)-1])) &&
		(f.Namespace == "" || len(parts) == 3 && parts[1] == f.Namespace)
}

// entryOf is an outcome in the audit log. It is pure.
func entryOf(e events.Event) (api.AuditEntry, bool) {
	entry := api.AuditEntry{Sequence: e.Sequence, Time: e.Time, Service: e.Subject.Service()}
	var record command.Record
	switch data := e.Data.(type) {
	case command.AcceptedV1:
		record, entry.Outcome, entry.Events = data.Command, outcomeAccepted, len(data.Events)
	case command.RejectedV1:
		record, entry.Outcome, entry.Code, entry.Message = data.Command, outcomeRejected, string(data.Code), data.Message
	case command.DryRunV1:
		record, entry.Outcome, entry.Message = data.Command, outcomeDryRun, data.Answer
	default:
		return entry, false
	}
	entry.Actor, entry.Reason, entry.Asked, entry.Operation = record.Actor, record.Reason, record.Time, record.ID
	entry.Verb, entry.Target = verbOf(record.Type), strings.ReplaceAll(strings.TrimPrefix(record.Subject, events.CommandPrefix), ".", "/")
	return entry, true
}

// verbOf takes the verb out of a command's type: run.rutter.workload.apply.v1.
func verbOf(wireType string) string {
	if parts := strings.Split(wireType, "."); len(parts) >= 3 {
		return parts[len(parts)-2]
	}
	return wireType
}
