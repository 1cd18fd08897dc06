package httpapi

import (
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// The parameters, as Go types whose tags say where each stands.
type (
	inNamespace struct {
		Namespace string `path:"namespace" description:"namespace, an RFC 1123 label"`
	}
	named struct {
		Name string `path:"name"`
	}
	caughtUpTo struct {
		Sequence uint64 `query:"sequence" description:"wait until the gateway has folded this sequence, so that you read what you wrote"`
	}
	atMoment struct {
		At string `query:"at" description:"the state at this moment instead of now: a sequence, an RFC 3339 time, or how long ago (-15m)"`
	}
	paged struct {
		Limit    int    `query:"limit" minimum:"1" maximum:"5000" description:"most items of a page"`
		Continue string `query:"continue" description:"continue of the page before"`
	}
	selected struct {
		Selector string `query:"selector" description:"label selector as in Kubernetes, such as app=web,tier!=cache"`
		Gone     bool   `query:"gone" description:"also what is over and still remembered"`
	}
	keyed struct {
		Key    string `header:"Idempotency-Key" description:"the same key asks for the same thing once, however often it is sent"`
		Reason string `query:"reason" description:"why, in the actor's words; it stays on the record"`
	}
	conditional struct {
		IfMatch string `header:"If-Match" description:"only while it is what ETag named, or at a revision, in quotes; the service that decides checks it"`
	}
	ranged struct {
		From uint64 `query:"from" description:"first sequence; a stream without it starts with what is to come"`
	}

	getNamed struct {
		inNamespace
		named
		caughtUpTo
		atMoment
	}
	getNode struct {
		named
		caughtUpTo
		atMoment
	}
	getStats struct {
		inNamespace
		named
		caughtUpTo
	}
	getState struct {
		caughtUpTo
		atMoment
	}
	getDiff struct {
		From      string `query:"from" required:"true" description:"the earlier moment: a sequence, an RFC 3339 time, or how long ago (-15m)"`
		To        string `query:"to" description:"the later one; now where absent"`
		Namespace string `query:"namespace" description:"of this namespace only"`
	}
	postRestore struct {
		keyed
		api.Restore
	}
	postUndo struct {
		ID string `path:"id"`
		keyed
		api.Undo
	}
	listAll struct {
		selected
		paged
		caughtUpTo
		atMoment
	}
	listIn struct {
		inNamespace
		listAll
	}
	listInstances struct {
		listAll
		Workload string `query:"workload"`
		Node     string `query:"node"`
	}
	listInstancesIn struct {
		inNamespace
		listInstances
	}
	putWorkload struct {
		inNamespace
		named
		keyed
		conditional
		DryRun      bool   `query:"dryRun" description:"validate, resolve images and say what would change; send nothing"`
		IfNoneMatch string `header:"If-None-Match" description:"*: only where there is no such workload"`
		spec.Workload
	}
	scaleWorkload struct {
		inNamespace
		named
		keyed
		conditional
		api.Scale
	}
	rolloutWorkload struct {
		inNamespace
		named
		keyed
		api.RolloutAction
	}
	deleteWorkload struct {
		inNamespace
		named
		keyed
		conditional
	}
	stopInstance struct {
		inNamespace
		named
		keyed
	}
	removeNode struct {
		named
		keyed
		Force bool `query:"force" description:"also where it is neither lost nor drained; what it holds may still run there"`
	}
	cordonNode struct {
		named
		keyed
		api.Cordon
	}
	drainNode struct {
		named
		keyed
		api.Drain
	}
	taintNode struct {
		named
		keyed
		api.TaintChange
	}
	labelNode struct {
		named
		keyed
		api.LabelChange
	}
	history struct {
		inNamespace
		named
		ranged
		paged
		atMoment
	}
	nodeHistory struct {
		named
		ranged
		paged
		atMoment
	}
	readLogs struct {
		inNamespace
		named
		Container  string `query:"container" description:"may be left out where there is only one"`
		Previous   bool   `query:"previous" description:"of the run before the newest"`
		Follow     bool   `query:"follow"`
		Tail       int    `query:"tail" description:"last lines only; below 0 or absent: all"`
		Since      string `query:"since" description:"a time (RFC 3339), or how long ago (10m)"`
		Timestamps bool   `query:"timestamps" description:"head each line of text with its time"`
	}
	runExec struct {
		inNamespace
		named
		Container string   `query:"container" description:"may be left out where there is only one"`
		Command   []string `query:"command" required:"true" collectionFormat:"multi" description:"once for the program and each argument"`
		TTY       bool     `query:"tty"`
		Stdin     bool     `query:"stdin"`
	}
	listOperations struct {
		paged
		caughtUpTo
		atMoment
	}
	getOperation struct {
		ID string `path:"id"`
		caughtUpTo
		atMoment
	}
	readExport struct {
		From uint64 `query:"from" description:"first sequence; 1 where absent"`
		To   uint64 `query:"to" description:"last sequence; where absent the last now, or the last that is signed where that is later"`
	}
	getInclusion struct {
		Event string `query:"event" required:"true" description:"sequence or id of the event"`
	}
	getConsistency struct {
		Old uint64 `query:"old" required:"true" description:"how many events the older log had"`
		New uint64 `query:"new" description:"how many the newer has; where absent as many as the newest checkpoint covers"`
	}
	readAuditLog struct {
		paged
		Actor     string `query:"actor" description:"such as token:ada; * stands for any characters"`
		Verb      string `query:"verb" description:"such as apply, scale or delete"`
		Target    string `query:"target" description:"such as workload/default/web, or the name alone; * stands for any characters"`
		Namespace string `query:"namespace"`
		Outcome   string `query:"outcome" enum:"accepted,rejected,dry-run"`
		Since     string `query:"since" description:"a sequence, a time (RFC 3339) or how long ago (-15m)"`
		Until     string `query:"until" description:"as since"`
	}
	readEvents struct {
		ranged
		paged
		atMoment
		Aggregate   []string `query:"aggregate" collectionFormat:"csv" description:"workload, instance, ledger, unplaced, node, report, command"`
		Namespace   string   `query:"namespace"`
		Workload    string   `query:"workload"`
		Instance    string   `query:"instance"`
		Node        string   `query:"node"`
		LastEventID string   `header:"Last-Event-ID" description:"resume a stream after this sequence"`
	}

	// cloudEventDocument describes a structured-mode CloudEvent.
	cloudEventDocument struct {
		SpecVersion   string `json:"specversion" required:"true" enum:"1.0"`
		ID            string `json:"id" required:"true"`
		Type          string `json:"type" required:"true" example:"run.rutter.workload.applied.v1"`
		Source        string `json:"source" required:"true" example:"/rutter/reconciler"`
		Subject       string `json:"subject" example:"evt.workload.default.web"`
		Time          string `json:"time" format:"date-time"`
		ContentType   string `json:"datacontenttype"`
		Sequence      string `json:"sequence" description:"place in the whole log, 20 digits"`
		Recorded      string `json:"recordedtime" format:"date-time"`
		CorrelationID string `json:"correlationid" description:"id at the head of the chain"`
		CausationID   string `json:"causationid" description:"id of the event or command that directly caused it"`
		Actor         string `json:"actor" description:"who asked for it first"`
		TraceParent   string `json:"traceparent"`
		Data          any    `json:"data"`
	}
)
