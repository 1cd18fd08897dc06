package app

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// question is a compiled expression over the state: Common Expression Language, https://github.com/google/cel-spec.
type question struct {
	program cel.Program
	output  *cel.Type
}

const (
	// mostCost bounds what an expression may cost, in CEL's units: a look at every instance of the largest cell, not at every pair of them.
	mostCost = 100_000_000
	// mostExpression is how long an expression may be, in bytes.
	mostExpression = 16 << 10
	// lookUp is after how many steps of a comprehension the evaluation sees that its caller is gone.
	lookUp = 1000
)

// The variables of an expression. Its lists hold the documents of the API, so that what `-o json` prints can be asked for.
const (
	varWorkloads = "workloads"
	varInstances = "instances"
	varNodes     = "nodes"
	varSequence  = "sequence"
	varTime      = "time"
)

// compile reads an expression; field is what the caller calls it.
func compile(field, expression string) (*question, error) {
	if len(expression) > mostExpression {
		return nil, spec.Errors{{Field: field, Value: fmt.Sprintf("%d bytes", len(expression)), Want: fmt.Sprintf("at most %d bytes", mostExpression)}}
	}
	documents := cel.ListType(cel.DynType)
	env, err := cel.NewEnv(
		cel.Variable(varWorkloads, documents), cel.Variable(varInstances, documents), cel.Variable(varNodes, documents),
		cel.Variable(varSequence, cel.IntType), cel.Variable(varTime, cel.TimestampType),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Sets(), ext.Math(),
	)
	if err != nil {
		return nil, fmt.Errorf("expressions cannot be read: %w", err)
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, spec.Errors{{Field: field, Value: expression, Want: "a CEL expression over workloads, instances, nodes, sequence and time, such as " +
			`workloads.all(w, w.status.state == "Ready"): ` + err.Error()}}
	}
	program, err := env.Program(ast, cel.CostLimit(mostCost), cel.InterruptCheckFrequency(lookUp))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be evaluated: %w", field, err)
	}
	return &question{program: program, output: ast.OutputType()}, nil
}

// compilePredicate is compile for an expression that must be true or false.
func compilePredicate(field, expression string) (*question, error) {
	q, err := compile(field, expression)
	if err != nil {
		return nil, err
	}
	if !q.output.IsExactType(cel.BoolType) && !q.output.IsExactType(cel.DynType) {
		return nil, spec.Errors{{Field: field, Value: expression, Want: "an expression that is true or false; this one gives " + q.output.String()}}
	}
	return q, nil
}

// ask evaluates the question over a state. The value is what JSON knows: null, bool, number, string, list or map.
func (q *question) ask(ctx context.Context, r Reading) (any, error) {
	value, _, err := q.program.ContextEval(ctx, variablesOf(r.view))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, spec.Errors{{Field: "expression", Want: fmt.Sprintf("one that can be evaluated at sequence %d: %v", r.view.Sequence(), err)}}
	}
	native, err := value.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, spec.Errors{{Field: "expression", Want: "one that gives plain data: " + err.Error()}}
	}
	plain, ok := native.(*structpb.Value)
	if !ok {
		return nil, fmt.Errorf("the expression gave %T", native)
	}
	return plain.AsInterface(), nil
}

// holds evaluates a predicate.
func (q *question) holds(ctx context.Context, r Reading) (bool, error) {
	value, err := q.ask(ctx, r)
	if err != nil {
		return false, err
	}
	yes, ok := value.(bool)
	if !ok {
		return false, spec.Errors{{Field: "predicate", Want: fmt.Sprintf("one that is true or false; at sequence %d it gave %v", r.view.Sequence(), value)}}
	}
	return yes, nil
}

// variablesOf is the state as an expression sees it. Each list is made only where an expression looks at it.
func variablesOf(view *projections.Cluster) map[string]any {
	return map[string]any{
		varSequence: int64(view.Sequence()),
		varTime:     view.Time(),
		varWorkloads: func() any {
			all := []any{}
			for w := range view.Workloads() {
				if !w.Deleted {
					all = append(all, documentMap(workloadOf(view, w)))
				}
			}
			return all
		},
		varInstances: func() any {
			all := []any{}
			for i := range view.Instances() {
				if !i.Retired {
					all = append(all, documentMap(instanceOf(i)))
				}
			}
			return all
		},
		varNodes: func() any {
			all := []any{}
			for n := range view.Nodes() {
				if n.Health != projections.Left {
					all = append(all, documentMap(nodeOf(n)))
				}
			}
			return all
		},
	}
}

// documentMap is a document as JSON has it. The documents of the API always encode.
func documentMap(document any) (m map[string]any) {
	data, err := json.Marshal(document)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return nil
	}
	return m
}

// Query evaluates an expression over the state at a moment, now where none is given.
func (a *App) Query(ctx context.Context, query api.Query) (api.QueryResult, error) {
	q, err := compile("expression", query.Expression)
	if err != nil {
		return api.QueryResult{}, err
	}
	reading := a.Now()
	if query.At != "" {
		if reading, err = a.At(ctx, query.At); err != nil {
			return api.QueryResult{}, fmt.Errorf("at: %w", err)
		}
	}
	value, err := q.ask(ctx, reading)
	return api.QueryResult{Moment: reading.Moment(), Value: value}, err
}
