// Package subscribers tests programs that follow the log from outside: what the subscription library promises when they are killed, and the examples
// of deploy/examples/subscribers as they stand.
package subscribers
