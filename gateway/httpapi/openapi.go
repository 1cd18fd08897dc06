package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"
	"github.com/swaggest/openapi-go/openapi31"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
)

// endpoint describes one route.
type endpoint struct {
	method, path string
	id           string
	summary      string
	tag          string
	request      any
	answers      map[int]any // by status: a document, a media type (a string), a content, or several of these ([]any)
	open         bool        // needs no token
}

// content is a document of another media type than JSON.
type content struct {
	mediaType string
	document  any
}

// enums are the values of closed sets.
var enums = map[reflect.Type][]any{
	reflect.TypeFor[spec.Protocol]():       {spec.TCP, spec.UDP, spec.SCTP},
	reflect.TypeFor[spec.SeccompProfile](): {spec.SeccompDefault, spec.SeccompUnconfined},
	reflect.TypeFor[spec.URIScheme]():      {spec.SchemeHTTP, spec.SchemeHTTPS},
	reflect.TypeFor[spec.WorkloadType]():   {spec.Service, spec.Job},
	reflect.TypeFor[spec.RestartPolicy]():  {spec.RestartAlways, spec.RestartOnFailure, spec.RestartNever},
	reflect.TypeFor[spec.TaintEffect]():    {spec.NoSchedule, spec.PreferNoSchedule, spec.NoExecute},
	reflect.TypeFor[spec.StrategyType]():   {spec.Rolling, spec.Recreate, spec.Canary},
	reflect.TypeFor[spec.OnFailure]():      {spec.FailureRollback, spec.FailurePause},
	reflect.TypeFor[workload.RolloutAction](): {
		workload.ActionPause, workload.ActionResume, workload.ActionPromote, workload.ActionAbort, workload.ActionUndo, workload.ActionRestart,
	},
	reflect.TypeFor[spec.OnPartition]():        {spec.PartitionKeep, spec.PartitionStop},
	reflect.TypeFor[spec.Operator]():           {spec.OpIn, spec.OpNotIn, spec.OpExists, spec.OpDoesNotExist, spec.OpGt, spec.OpLt},
	reflect.TypeFor[spec.TolerationOperator](): {spec.TolerateEqual, spec.TolerateExists},
	reflect.TypeFor[spec.WhenUnsatisfiable]():  {spec.DoNotSchedule, spec.ScheduleAnyway},
	reflect.TypeFor[spec.Phase](): {
		spec.PhasePending, spec.PhasePlaced, spec.PhasePulling, spec.PhaseStarting, spec.PhaseRunning, spec.PhaseReady, spec.PhaseUnhealthy,
		spec.PhaseCrashLoopBackOff, spec.PhaseTerminating, spec.PhaseSucceeded, spec.PhaseFailed, spec.PhaseLost,
	},
}

// endpoints is every route of the API.
func endpoints() []endpoint {
	const ns, wl, in = "/v1/namespaces/{namespace}", "/v1/namespaces/{namespace}/workloads", "/v1/namespaces/{namespace}/instances"
	ok := func(v any) map[int]any { return map[int]any{http.StatusOK: v} }
	page := ok(api.List[cloudEventDocument]{})
	changed := map[int]any{http.StatusOK: api.Result{}, http.StatusCreated: api.Result{}, http.StatusAccepted: api.Result{}}
	return []endpoint{
		{"GET", "/livez", "livez", "Whether the process lives", "health", nil, ok("text/plain"), true},
		{"GET", "/readyz", "readyz", "Whether the projection is live and the log answers", "health", nil,
			map[int]any{http.StatusOK: "text/plain", http.StatusServiceUnavailable: "text/plain"}, true},
		{"GET", "/metrics", "metrics", "Metrics for Prometheus", "health", nil, ok("text/plain"), true},
		{"GET", "/v1/openapi.json", "getOpenAPI", "This document", "health", nil, ok("application/json"), true},
		{"GET", "/v1/version", "getVersion", "What serves", "health", nil, ok(api.Version{}), false},
		{"GET", "/v1/state", "getState", "Sequence and hash of the gateway's projection", "log", getState{}, ok(api.State{}), false},

		{"GET", "/v1/workloads", "listAllWorkloads", "Workloads of all namespaces", "workloads", listAll{}, ok(api.List[api.Workload]{}), false},
		{"GET", wl, "listWorkloads", "Workloads of a namespace", "workloads", listIn{}, ok(api.List[api.Workload]{}), false},
		{"GET", wl + "/{name}", "getWorkload", "A workload and how far the cluster is with it", "workloads", getNamed{}, ok(api.Workload{}), false},
		{"PUT", wl + "/{name}", "putWorkload", "Apply a workload; the body is JSON or YAML", "workloads", putWorkload{}, changed, false},
		{"DELETE", wl + "/{name}", "deleteWorkload", "Delete a workload; its instances stop first", "workloads", deleteWorkload{}, changed, false},
		{"POST", wl + "/{name}/scale", "scaleWorkload", "Set the number of replicas", "workloads", scaleWorkload{}, changed, false},
		{"POST", wl + "/{name}/rollout", "rolloutWorkload", "Pause, resume, promote, abort or undo a roll-out, or restart all instances", "workloads", rolloutWorkload{}, changed, false},
		{"GET", wl + "/{name}/revisions", "listRevisions", "The revisions that one can go back to, oldest first", "workloads", getNamed{}, ok(api.List[api.Revision]{}), false},
		{"GET", wl + "/{name}/history", "getWorkloadHistory", "All that ever happened to a workload and its instances", "log", history{}, page, false},
		{"GET", wl + "/{name}/why", "getWorkloadWhy", "What its present state came from", "log", getNamed{}, ok(api.Why{}), false},

		{"GET", "/v1/instances", "listAllInstances", "Instances of all namespaces", "instances", listInstances{}, ok(api.List[api.Instance]{}), false},
		{"GET", in, "listInstances", "Instances of a namespace", "instances", listInstancesIn{}, ok(api.List[api.Instance]{}), false},
		{"GET", in + "/{name}", "getInstance", "An instance", "instances", getNamed{}, ok(api.Instance{}), false},
		{"DELETE", in + "/{name}", "stopInstance", "Stop an instance; another one takes its slot", "instances", stopInstance{}, changed, false},
		{"GET", in + "/{name}/history", "getInstanceHistory", "All that ever happened to an instance", "log", history{}, page, false},
		{"GET", in + "/{name}/why", "getInstanceWhy", "What its present state came from", "log", getNamed{}, ok(api.Why{}), false},
		{"GET", in + "/{name}/logs", "getLogs", "The log of a container, as text or (Accept: application/x-ndjson) one LogLine a line", "instances",
			readLogs{}, ok([]any{"text/plain", content{ndjson, api.LogLine{}}}), false},
		{"GET", in + "/{name}/stats", "getStats", "What an instance's containers use now", "instances", getStats{}, ok(api.Stats{}), false},
		{"GET", in + "/{name}/exec", "exec", "Run a process in a container, over a WebSocket (subprotocol " + api.ExecProtocol + ") of binary messages whose first byte is the channel: " +
			"0 stdin, 1 stdout, 2 stderr, 3 resize {width,height}, 4 exit {code,error}, 5 end of stdin", "instances",
			runExec{}, map[int]any{http.StatusSwitchingProtocols: "application/octet-stream"}, false},

		{"GET", "/v1/nodes", "listNodes", "Nodes", "nodes", listAll{}, ok(api.List[api.Node]{}), false},
		{"GET", "/v1/nodes/{name}", "getNode", "A node", "nodes", getNode{}, ok(api.Node{}), false},
		{"DELETE", "/v1/nodes/{name}", "removeNode", "Take out a node that is lost or drained, or by force any", "nodes", removeNode{}, changed, false},
		{"POST", "/v1/nodes/{name}/cordon", "cordonNode", "Keep new instances off a node, or let them on it again and end its drain", "nodes", cordonNode{}, changed, false},
		{"POST", "/v1/nodes/{name}/drain", "drainNode", "Empty a node: what runs there is replaced elsewhere, then stopped", "nodes", drainNode{}, changed, false},
		{"POST", "/v1/nodes/{name}/taints", "taintNode", "Set taints on a node and take others off", "nodes", taintNode{}, changed, false},
		{"POST", "/v1/nodes/{name}/labels", "labelNode", "Set labels on a node and take others off", "nodes", labelNode{}, changed, false},
		{"GET", "/v1/nodes/{name}/history", "getNodeHistory", "All that ever happened to a node and on it", "log", nodeHistory{}, page, false},
		{"GET", "/v1/nodes/{name}/why", "getNodeWhy", "What its present state came from", "log", getNode{}, ok(api.Why{}), false},

		{"GET", "/v1/operations", "listOperations", "Commands and what became of them, newest first", "log", listOperations{}, ok(api.List[api.Operation]{}), false},
		{"GET", "/v1/operations/{id}", "getOperation", "A command and what became of it", "log", getOperation{}, ok(api.Operation{}), false},
		{"POST", "/v1/operations/{id}/undo", "undoOperation", "Change back what one operation changed, as new events", "past", postUndo{}, ok(api.Restored{}), false},
		{"GET", "/v1/moment", "getMoment", "The last event that had happened at a moment", "past", getState{}, ok(api.Moment{}), false},
		{"GET", "/v1/diff", "getDiff", "What changed between two moments", "past", getDiff{}, ok(api.Diff{}), false},
		{"POST", "/v1/query", "query", "The value of an expression (CEL) over the state at a moment", "past", api.Query{}, ok(api.QueryResult{}), false},
		{"POST", "/v1/bisect", "bisect", "Find the event that made a predicate false", "past", api.Bisect{}, ok(api.BisectResult{}), false},
		{"POST", "/v1/restore", "restore", "Wish again for what was wished for at a moment, as new events", "past", postRestore{}, ok(api.Restored{}), false},
		{"GET", "/v1/events", "getEvents", "A page of the event log, or (Accept: text/event-stream) server-sent events of it and of what comes", "log", readEvents{},
			ok([]any{api.List[cloudEventDocument]{}, content{"text/event-stream", cloudEventDocument{}}}), false},
		{"GET", "/v1/export", "getExport", "The event log, or a part of it, as a file that can be verified and imported: see docs/design/audit.md", "audit", readExport{},
			ok(exportType), false},
		{"GET", "/v1/audit/checkpoint", "getCheckpoint", "The newest signed checkpoint of the log", "audit", nil, ok(api.Checkpoint{}), false},
		{"GET", "/v1/audit/inclusion", "getInclusion", "Proof that an event is in the newest checkpoint's tree", "audit", getInclusion{}, ok(api.InclusionProof{}), false},
		{"GET", "/v1/audit/consistency", "getConsistency", "Proof that the log only added to what it was", "audit", getConsistency{}, ok(api.ConsistencyProof{}), false},
		{"GET", "/v1/audit/log", "getAuditLog", "Who wanted what and what came of it: commands accepted and rejected, and dry runs", "audit", readAuditLog{},
			ok(api.List[api.AuditEntry]{}), false},
	}
}

// describe generates the OpenAPI document. It fails where a route is not described or a description has no route.
func describe(router chi.Router, version string) ([]byte, error) {
	r := openapi31.NewReflector()
	r.SpecEns().Info.WithTitle("Rutter").WithVersion(version).WithDescription(
		"Every change is a command that some service decides on; its outcome is an event in the log. Errors are application/problem+json (RFC 9457).")
	r.SpecEns().SetHTTPBearerTokenSecurity("token", "", "a token of the gateway's tokens file")
	// These types read and write themselves as strings.
	for _, v := range []any{spec.CPU(0), spec.Bytes(0), spec.Duration(0), spec.Portion(""), spec.ImageRef{}, spec.PortRef("")} {
		r.AddTypeMapping(v, "")
	}
	r.AddTypeMapping(spec.GPUs(0), float64(0))
	r.DefaultOptions = append(r.DefaultOptions, jsonschema.InterceptDefName(definitionName),
		jsonschema.InterceptSchema(func(p jsonschema.InterceptSchemaParams) (bool, error) {
			if values, ok := enums[p.Value.Type()]; ok && p.Processed {
				p.Schema.WithEnum(values...)
			}
			return false, nil
		}))
	known := map[string]bool{}
	for _, e := range endpoints() {
		known[e.method+" "+e.path] = true
		if err := addEndpoint(r, e); err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", e.method, e.path, err)
		}
	}
	served := map[string]bool{}
	err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served[method+" "+route] = true
		if !known[method+" "+route] {
			return fmt.Errorf("route %s %s is not described in openapi.go", method, route)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for route := range known {
		if !served[route] {
			return nil, fmt.Errorf("openapi.go describes %s, which is not served", route)
		}
	}
	return json.MarshalIndent(r.Spec, "", "  ")
}

// definitionName keeps the names of generic types readable: ListOfWorkload rather than a path of packages.
func definitionName(t reflect.Type, name string) string {
	if outer, inner, ok := strings.Cut(t.Name(), "["); ok {
		inner = strings.TrimSuffix(inner[strings.LastIndex(inner, ".")+1:], "]")
		return outer + "Of" + strings.ToUpper(inner[:1]) + inner[1:]
	}
	// What the API shows has its plain name; what is wished in a document keeps the package before it: Container and SpecContainer.
	for _, own := range []string{"Api", "Httpapi"} {
		if plain, ok := strings.CutPrefix(name, own); ok {
			return plain
		}
	}
	return name
}

func addEndpoint(r *openapi31.Reflector, e endpoint) error {
	oc, err := r.NewOperationContext(e.method, e.path)
	if err != nil {
		return err
	}
	oc.SetID(e.id)
	oc.SetSummary(e.summary)
	oc.SetTags(e.tag)
	if e.request != nil {
		oc.AddReqStructure(e.request)
	}
	for status, answer := range e.answers {
		several, ok := answer.([]any)
		if !ok {
			several = []any{answer}
		}
		for _, one := range several {
			switch one := one.(type) {
			case string:
				oc.AddRespStructure(nil, openapi.WithHTTPStatus(status), openapi.WithContentType(one))
			case content:
				oc.AddRespStructure(one.document, openapi.WithHTTPStatus(status), openapi.WithContentType(one.mediaType))
			default:
				oc.AddRespStructure(one, openapi.WithHTTPStatus(status))
			}
		}
	}
	if !e.open {
		oc.AddSecurity("token")
		oc.AddRespStructure(api.Problem{}, openapi.WithContentType(api.ProblemType), func(cu *openapi.ContentUnit) {
			cu.IsDefault, cu.Description = true, "a problem"
		})
	}
	return r.AddOperation(oc)
}
