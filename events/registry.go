package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Registry knows the payload types and how to read each from JSON. Package catalog makes the full one; there is no global.
type Registry struct {
	decode map[string]func([]byte) (Payload, error)
	zero   map[string]Payload
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{decode: map[string]func([]byte) (Payload, error){}, zero: map[string]Payload{}}
}

// Register adds a payload type under its wire type; P is the struct itself, not a pointer. Registering one twice panics: it is a
// fault of the program.
func Register[P Payload](r *Registry) {
	RegisterDecoder(r, func(data []byte) (P, error) {
		var p P
		err := json.Unmarshal(data, &p)
		return p, err
	})
}

// RegisterShared is Register for a payload type whose values come again and again, such as that a container is ready: each is decoded once
// and shared by all events that say the same.
func RegisterShared[P Payload](r *Registry) {
	Register[P](r)
	var zero P
	name, shared := zero.WireType(), new(Shared[Payload])
	decode := r.decode[name]
	r.decode[name] = func(data []byte) (Payload, error) { return shared.decode(data, decode) }
}

// RegisterDecoder is Register for a payload type that is decoded in a way of its own, which must give what json.Unmarshal would.
func RegisterDecoder[P Payload](r *Registry, decode func([]byte) (P, error)) {
	var zero P
	name := zero.WireType()
	if _, ok := r.decode[name]; ok {
		panic("events: registered twice: " + name)
	}
	r.zero[name] = zero
	r.decode[name] = func(data []byte) (Payload, error) {
		p, err := decode(data)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}

// RegisterUpcast reads the old payload type Old as the payload that up makes of it.
func RegisterUpcast[Old Payload](r *Registry, up func(Old) Payload) {
	var zero Old
	name := zero.WireType()
	if _, ok := r.decode[name]; ok {
		panic("events: registered twice: " + name)
	}
	r.zero[name] = zero
	r.decode[name] = func(data []byte) (Payload, error) {
		var p Old
		if err := json.Unmarshal(data, &p); err != nil {
			return nil, err
		}
		return up(p), nil
	}
}

// Decode reads a payload. It never fails: an unknown type is [Unknown], data that is not what its type says is [Malformed].
func (r *Registry) Decode(wireType string, data []byte) Payload {
	decode, ok := r.decode[wireType]
	if !ok {
		return Unknown{Type: wireType, Raw: json.RawMessage(slices.Clone(data))}
	}
	p, err := decode(data)
	if err != nil {
		return Malformed{Type: wireType, Raw: slices.Clone(data), Problem: err.Error()}
	}
	return p
}

// Types lists the registered wire types in order.
func (r *Registry) Types() []string { return slices.Sorted(maps.Keys(r.decode)) }

// Zero is the empty payload of a registered wire type, of an old version as well: what is written under that type has its Go type.
func (r *Registry) Zero(wireType string) (Payload, bool) {
	zero, ok := r.zero[wireType]
	return zero, ok
}

// Unknown is the payload of a type that this version does not know. It keeps the bytes as they are.
type Unknown struct {
	Type string
	Raw  json.RawMessage
}

// WireType implements Payload.
func (u Unknown) WireType() string { return u.Type }

// Line implements Payload.
func (u Unknown) Line() string { return fmt.Sprintf("%s %s", u.Type, u.Raw) }

// MarshalJSON implements json.Marshaler with the bytes as they came.
func (u Unknown) MarshalJSON() ([]byte, error) {
	if len(u.Raw) == 0 {
		return []byte("null"), nil
	}
	return u.Raw, nil
}

// Malformed is the payload of a message that is not what it says it is.
type Malformed struct {
	Type    string
	Raw     []byte
	Problem string
}

// WireType implements Payload.
func (m Malformed) WireType() string { return m.Type }

// Line implements Payload.
func (m Malformed) Line() string { return m.Type + " is malformed: " + m.Problem }
