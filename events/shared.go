package events

import (
	"encoding/json"
	"sync"
)

// Shared decodes values that come again and again in the same JSON, such as the spec of a workload's instances, once: a fold of a
// hundred thousand instances then decodes and holds one spec for each revision. What it gives is shared by all who ask, so nobody
// may change it, as nobody may change any payload. The zero Shared is ready; it is safe for use by several goroutines.
type Shared[T any] struct {
	mu    sync.RWMutex
	known map[string]T
	bytes int
}

// maxShared is how many bytes of JSON are remembered before all is forgotten.
const maxShared = 8 << 20

// Decode is the value that the JSON stands for.
func (s *Shared[T]) Decode(data []byte) (T, error) {
	return s.decode(data, func(data []byte) (value T, err error) {
		err = json.Unmarshal(data, &value)
		return value, err
	})
}

func (s *Shared[T]) decode(data []byte, decode func([]byte) (T, error)) (T, error) {
	s.mu.RLock()
	value, ok := s.known[string(data)]
	s.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := decode(data)
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || s.bytes > maxShared {
		s.known, s.bytes = map[string]T{}, 0
	}
	s.known[string(data)] = value
	s.bytes += len(data)
	return value, nil
}

// SharedField is a field of a JSON object whose value is decoded by way of From, without a copy of its JSON being made.
type SharedField[T any] struct {
	From  *Shared[T]
	Value T
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *SharedField[T]) UnmarshalJSON(data []byte) (err error) {
	f.Value, err = f.From.Decode(data)
	return err
}
