// Package cloudevent puts events and commands into CloudEvents 1.0 and takes them out again.
//
// On NATS that is the protocol binding's binary content mode: every attribute and extension is a header with the prefix ce-,
// its value percent-encoded, and the message's data is the payload as JSON. Messages in structured content mode are read as
// well. At the edges (server-sent events, export) an event is a structured JSON document; see [JSON] and [ToSDK].
// The package is pure: it knows neither NATS nor HTTP.
package cloudevent
