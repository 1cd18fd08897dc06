// Package schema describes what goes over the wire for those who do not read Go: a JSON Schema (2020-12) of every payload and of the documents
// that people write, and the whole as AsyncAPI 3. It is generated from the types of package events and the comments beside them.
//
// `task generate` writes it to docs/; a test of package catalog fails where what is there is not what would be written.
package schema
