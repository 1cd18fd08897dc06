package jetstream

import (
	"context"
	"runtime"
	"sync"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// chunk is a run of messages that is decoded in one go.
type chunk struct {
	messages []message
	events   []events.Event
	inline   bool
	decoded  chan struct{} // receives once, unless inline
}

var chunks = sync.Pool{New: func() any {
	return &chunk{messages: make([]message, 0, chunkSize), events: make([]events.Event, 0, chunkSize), decoded: make(chan struct{}, 1)}
}}

func newChunk() *chunk { return chunks.Get().(*chunk) }

// release gives the chunk back; nothing of it may be used any more.
func (c *chunk) release() {
	clear(c.messages)
	clear(c.events)
	c.messages, c.events = c.messages[:0], c.events[:0]
	chunks.Put(c)
}

// decoder turns messages into events; one for each goroutine.
type decoder struct {
	events *cloudevent.Decoder
	client *Client
}

func newDecoder(client *Client) *decoder {
	return &decoder{events: cloudevent.NewDecoder(client.registry), client: client}
}

func (d *decoder) decode(c *chunk) {
	for _, m := range c.messages {
		e := d.events.Event(m.msg.Subject, cloudevent.Header(m.msg.Header), m.msg.Data)
		e.Sequence, e.Recorded = m.sequence, d.client.recorded(m.sequence, m.stored, m.msg.Header)
		c.events = append(c.events, e)
	}
}

// decoding is a set of goroutines that decode chunks.
type decoding struct{ done sync.WaitGroup }

// startDecoding decodes what comes through work until ctx is done.
func startDecoding(ctx context.Context, client *Client, work <-chan *chunk) *decoding {
	var d decoding
	for range runtime.GOMAXPROCS(0) {
		d.done.Go(func() {
			own := newDecoder(client)
			for {
				select {
				case c := <-work:
					own.decode(c)
					c.decoded <- struct{}{}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return &d
}

func (d *decoding) wait() { d.done.Wait() }
