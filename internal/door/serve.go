package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Log is what the door needs of the log.
type Log interface {
	// Commit is events.Log's Append; fresh: the batch was stored now, without a gap, and did not stand in the log already.
	Commit(ctx context.Context, batch events.Batch) (last uint64, fresh bool, err error)
	Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error
	LastOf(ctx context.Context, subject events.Subject) (events.Event, error)
}

// Config is what a door stands on.
type Config struct {
	Log      Log
	Commands events.Commands
	Registry *events.Registry
	// Owner is the key that a name belongs to now; not owned: to nobody, as far as the log says.
	Owner func(node string) (key string, owned bool)
	// Renew makes new credentials for a node's key.
	Renew  func(node, key string) (jwt string, err error)
	Logger logrus.FieldLogger
}

// Server answers nodes.
type Server struct {
	config Config
	slots  chan struct{}
	group  *group
}

// NewServer makes a server; Run sets it going.
func NewServer(config Config) *Server {
	return &Server{config: config, slots: make(chan struct{}, atOnce), group: newGroup(config.Log)}
}

const (
	// atOnce is how many requests are under way; those on top wait in the connection.
	atOnce = 512
	// usualPatience and mostPatience are how long a request may take, where it does not say and at most.
	usualPatience = 5 * time.Second
	mostPatience  = 15 * time.Second
	// pageBytes and pageEvents bound what one answer holds.
	pageBytes  = 256 << 10
	pageEvents = 500
)

// Run answers on the connection until ctx is done and what is under way is answered.
func (s *Server) Run(ctx context.Context, nc *nats.Conn) error {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var underWay sync.WaitGroup
	underWay.Go(func() { s.group.run(running) })
	var asked sync.WaitGroup
	take := func(msg *nats.Msg) {
		by, verb, ok := parse(msg.Subject)
		if !ok {
			return // not sent here, but steered by somebody's consumer
		}
		if !by.answerable(msg.Reply) {
			s.config.Logger.WithFields(logrus.Fields{"node": by.node, "key": by.key, "reply": msg.Reply}).Warn("a request at the door wants its answer elsewhere than in the node's own inbox")
			return
		}
		if verb == verbPing {
			s.serve(running, by, verb, msg) // of memory: it takes no slot, so that a log that stalls makes no node believe itself cut off
			return
		}
		s.slots <- struct{}{}
		asked.Add(1)
		go func() {
			defer func() { <-s.slots; asked.Done() }()
			s.serve(running, by, verb, msg)
		}()
	}
	// One subscription a verb: what waits for a slot holds up its own kind, and no ping.
	var subs []*nats.Subscription
	for _, verb := range Verbs {
		sub, err := nc.QueueSubscribe(Subject("*", "*", verb), queue, take)
		if err != nil {
			end()
			underWay.Wait()
			return fmt.Errorf("serve the door: %w", err)
		}
		subs = append(subs, sub)
	}
	<-ctx.Done()
	var draining sync.WaitGroup
	for _, sub := range subs {
		draining.Go(func() { drain(sub) })
	}
	draining.Wait()
	asked.Wait()
	end()
	underWay.Wait()
	return ctx.Err()
}

// drain ends a subscription once what has arrived is taken up: what the server has given to this process it gives to no other.
func drain(sub *nats.Subscription) {
	const patience = 2 * time.Second
	closed := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(closed) })
	if sub.Drain() != nil {
		return // the connection is closed
	}
	select {
	case <-closed:
	case <-time.After(patience):
	}
}

// serve answers one request.
func (s *Server) serve(ctx context.Context, by caller, verb string, msg *nats.Msg) {
	patience := usualPatience
	if asked, err := time.ParseDuration(msg.Header.Get(headerPatience)); err == nil && asked > 0 {
		patience = min(asked, mostPatience)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := s.answer(ctx, by, verb, msg)
	log := s.config.Logger.WithFields(logrus.Fields{"node": by.node, "asked": verb})
	switch {
	case errors.Is(err, events.ErrDenied), errors.Is(err, events.ErrInvalid):
		log.WithField("key", by.key).WithError(err).Warn("refused at the door")
	case err != nil:
		log.WithError(err).Debug("failed at the door")
	}
	if err != nil {
		a = failed(err)
	}
	data, err := json.Marshal(a)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		log.WithError(err).Debug("not answered; it asks again")
	}
}

func (s *Server) answer(ctx context.Context, by caller, verb string, msg *nats.Msg) (a answer, err error) {
	owner, owned := s.config.Owner(by.node)
	if owned && owner != by.key {
		return a, denied("the name %s belongs to another key", by.node)
	}
	switch verb {
	case verbPing:
		return a, nil
	case verbAppend:
		return s.append(ctx, by, msg)
	case verbRead:
		return s.read(ctx, by, msg)
	case verbLastOf:
		return s.lastOf(ctx, by, msg)
	case verbRegister:
		return a, s.register(ctx, by, msg)
	case verbRenew:
		if !owned { // it was removed, or never registered: it comes back by the join token, not for ever by what it once got
			return a, denied("the name %s belongs to nobody: join again", by.node)
		}
		a.JWT, err = s.config.Renew(by.node, by.key)
		return a, err
	}
	return a, fmt.Errorf("the door has no %q: %w", verb, events.ErrInvalid)
}

func (s *Server) append(ctx context.Context, by caller, msg *nats.Msg) (a answer, err error) {
	var request appendRequest
	if err := read(msg, &request); err != nil {
		return a, err
	}
	batch, err := decodeBatch(cloudevent.NewDecoder(s.config.Registry), request)
	if err != nil {
		return a, err
	}
	if batch, err = batch.Prepared(); err != nil {
		return a, err
	}
	if err := allowAppend(by.node, batch); err != nil {
		return a, err
	}
	a.Sequence, err = s.group.append(ctx, batch, msg.Header.Get(headerAgain) != "")
	return a, err
}

// errPage ends a page that is full.
var errPage = errors.New("the page is full")

func (s *Server) read(ctx context.Context, by caller, msg *nats.Msg) (a answer, err error) {
	var request readRequest
	if err := read(msg, &request); err != nil {
		return a, err
	}
	if err := allowRead(by.node, request.Subject); err != nil {
		return a, err
	}
	size := 0
	err = s.config.Log.Read(ctx, request.Subject, request.From, func(e events.Event) error {
		m, err := encode(e)
		if err != nil {
			return err
		}
		// One that is larger than a page is a page.
		if size += len(m.Data) + len(m.Raw); len(a.Events) > 0 && size > pageBytes || len(a.Events) == pageEvents {
			return errPage
		}
		a.Events = append(a.Events, m)
		return nil
	})
	a.More = errors.Is(err, errPage)
	if err != nil && !a.More {
		return answer{}, unavailable(err)
	}
	return a, nil
}

func (s *Server) lastOf(ctx context.Context, by caller, msg *nats.Msg) (a answer, err error) {
	var request readRequest
	if err := read(msg, &request); err != nil {
		return a, err
	}
	if err := allowRead(by.node, request.Subject); err != nil {
		return a, err
	}
	e, err := s.config.Log.LastOf(ctx, request.Subject)
	if err != nil {
		return a, unavailable(err)
	}
	m, err := encode(e)
	a.Events = []message{m}
	return a, err
}

func (s *Server) register(ctx context.Context, by caller, msg *nats.Msg) error {
	var request registerRequest
	if err := read(msg, &request); err != nil {
		return err
	}
	c := cloudevent.NewDecoder(s.config.Registry).Command(request.Subject, request.Command.Header, request.Command.Data)
	if err := allowRegister(by, c); err != nil {
		return err
	}
	return s.config.Commands.Send(ctx, c)
}

// read takes a request out of a message.
func read(msg *nats.Msg, request any) error {
	if err := json.Unmarshal(msg.Data, request); err != nil {
		return fmt.Errorf("malformed request (%w): %w", err, events.ErrInvalid)
	}
	return nil
}

// unavailable says that a reading was cut short by the end of its patience.
func unavailable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	return err
}
