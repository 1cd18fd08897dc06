package schema

import (
	"reflect"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// channels are the subjects of events, with what their words name.
var channels = []struct {
	aggregate events.Aggregate
	writer    string
	words     []string
}{
	{events.AggregateWorkload, "the reconciler", []string{"namespace", "workload"}},
	{events.AggregateInstance, "the reconciler", []string{"namespace", "workload", "instance"}},
	{events.AggregateLedger, "the scheduler", []string{"node"}},
	{events.AggregateUnplaced, "the scheduler", []string{"namespace", "workload", "instance"}},
	{events.AggregateNode, "node-health", []string{"node"}},
	{events.AggregateReport, "the node's agent", []string{"node", "namespace", "workload", "instance"}},
	{events.AggregateCommand, "the service that decided", []string{"service"}},
}

// asyncAPI is the whole as AsyncAPI 3, from where a subscriber stands: it receives events. Commands are described and promise nothing.
func asyncAPI(registry *events.Registry, src source) document {
	messages, operations, all := document{}, document{}, document{}
	for _, wireType := range registry.Types() {
		zero, _ := registry.Zero(wireType)
		m := document{
			"name": wireType, "title": wireType, "summary": src.comments[name(reflect.TypeOf(zero))],
			"contentType": "application/json", "headers": ref("#/components/schemas/headers"),
			"payload": document{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": ref("../" + schemaFile(wireType))},
		}
		if old(registry, wireType) {
			m["tags"] = []any{document{"name": "old version"}}
		}
		messages[wireType] = m
	}
	for _, c := range channels {
		id := string(c.aggregate)
		of, parameters := document{}, document{}
		for _, wireType := range registry.Types() {
			if zero, _ := registry.Zero(wireType); aggregateOf(wireType) == id && !src.isCommand(zero) {
				of[wireType] = ref("#/components/messages/" + wireType)
			}
		}
		address := events.EventPrefix + id
		for _, word := range c.words {
			address += ".{" + word + "}"
			parameters[word] = document{"description": "name of the " + word}
		}
		all[id] = document{
			"address": address, "title": "what happens to a " + id, "messages": of, "parameters": parameters,
			"description": "Kept in the stream EVENTS for ever, and republished live under live." + events.EventPrefix + id + ".… Only writer: " + c.writer + ".",
		}
		operations["follow-"+id] = document{"action": "receive", "channel": ref("#/channels/" + id)}
	}
	for _, c := range []struct {
		id, address, word string
		aggregates        []string
	}{
		{"workload-commands", "cmd.workload.{namespace}.{workload}", "workload", []string{"workload", "instance"}},
		{"node-commands", "cmd.node.{node}", "node", []string{"node"}},
	} {
		of, parameters := document{}, document{}
		for _, wireType := range registry.Types() {
			if zero, _ := registry.Zero(wireType); slices.Contains(c.aggregates, aggregateOf(wireType)) && src.isCommand(zero) {
				of[wireType] = ref("#/components/messages/" + wireType)
			}
		}
		for part := range strings.SplitSeq(c.address, ".") {
			if word, ok := strings.CutPrefix(part, "{"); ok {
				word = strings.TrimSuffix(word, "}")
				parameters[word] = document{"description": "name of the " + word}
			}
		}
		all[c.id] = document{
			"address": c.address, "title": "intents about a " + c.word, "messages": of, "parameters": parameters,
			"description": "Between the gateway and the service that decides; not for subscribers, and no promise is made. Change the cluster through the HTTP API.",
		}
	}
	return document{
		"asyncapi": "3.0.0",
		"info": document{
			"title": "Rutter", "version": "1", "license": document{"name": "Apache-2.0"},
			"description": "Every change of a cluster is an event in one log on NATS JetStream. docs/subscribers.md says how to follow it and what will stay as it is.",
		},
		"defaultContentType": "application/json",
		"servers": document{"local": document{
			"host": "127.0.0.1:4222", "protocol": "nats", "description": "`rutter up`; a deployment names its own servers, with TLS",
			"security": []any{document{"type": "userPassword", "description": "a credentials file of `rutter subscriber` (JWT and NKey seed)"}},
		}},
		"channels": all, "operations": operations,
		"components": document{"messages": messages, "schemas": document{"headers": headers()}},
	}
}

// headers are the attributes of a CloudEvent as headers of a NATS message.
func headers() document {
	properties := document{}
	for _, h := range []struct{ name, text string }{
		{"ce-specversion", "1.0"},
		{"ce-id", "unique for ever"},
		{"ce-type", "the type of the data"},
		{"ce-source", "who says it, such as /rutter/node-health"},
		{"ce-subject", "the NATS subject again"},
		{"ce-time", "when it was decided, RFC 3339"},
		{"ce-datacontenttype", "application/json"},
		{"ce-correlationid", "id of the command or fact at the head of the chain"},
		{"ce-causationid", "id of the event or command that directly caused it"},
		{"ce-actor", "who asked for it first, such as user:ada"},
		{"ce-traceparent", "W3C trace context"},
	} {
		properties[h.name] = document{"type": "string", "description": h.text}
	}
	return document{
		"type": "object", "description": "CloudEvents 1.0, NATS protocol binding, binary content mode; values are percent-encoded UTF-8", "properties": properties,
		"required": []any{"ce-id", "ce-source", "ce-specversion", "ce-type"},
	}
}

func ref(to string) document { return document{"$ref": to} }
