package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
)

// StreamOptions is what an operator may choose about the streams. Raising Replicas later moves the streams to more servers.
type StreamOptions struct {
	Replicas        int           // 1, 3 or 5; 1 where 0
	MaxEventBytes   int64         // EVENTS refuses writes above it; no limit where 0
	MaxCommandBytes int64         // COMMANDS drops its oldest above it; no limit where 0
	CommandAge      time.Duration // how long commands are kept; 72 h where 0
}

const (
	defaultCommandAge = 72 * time.Hour
	eventDuplicates   = 2 * time.Minute
	commandDuplicates = 10 * time.Minute
	leaseMarkers      = 30 * time.Second // how long the bucket shows that a lease ran out
	maxPosition       = 512 << 10
	heartbeatAge      = 24 * time.Hour
	commandAckWait    = 15 * time.Second
	commandsInFlight  = 256
)

func (o StreamOptions) withDefaults() StreamOptions {
	o.Replicas = max(o.Replicas, 1)
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = -1
	}
	if o.MaxCommandBytes == 0 {
		o.MaxCommandBytes = -1
	}
	if o.CommandAge == 0 {
		o.CommandAge = defaultCommandAge
	}
	return o
}

// streams are the definitions of all plain streams. Never give EVENTS message schedules or delete markers: both silently switch
// DenyPurge off.
func (o StreamOptions) streams() []js.StreamConfig {
	return []js.StreamConfig{
		{
			Name: StreamEvents, Description: "The truth: every event, for ever", Subjects: []string{events.EventPrefix + ">"},
			Storage: js.FileStorage, Retention: js.LimitsPolicy, Discard: js.DiscardNew, MaxBytes: o.MaxEventBytes, MaxMsgs: -1,
			MaxConsumers: -1, MaxMsgsPerSubject: -1, DenyDelete: true, DenyPurge: true, AllowDirect: true, AllowAtomicPublish: true,
			Duplicates: eventDuplicates, Replicas: o.Replicas,
			RePublish: &js.RePublish{Source: events.EventPrefix + ">", Destination: events.LivePrefix + events.EventPrefix + ">"},
		},
		{
			Name: StreamCommands, Description: "Intents that wait for a decision", Subjects: []string{events.CommandPrefix + ">"},
			Storage: js.FileStorage, Retention: js.LimitsPolicy, Discard: js.DiscardOld, MaxAge: o.CommandAge, MaxBytes: o.MaxCommandBytes,
			MaxMsgs: -1, MaxConsumers: -1, MaxMsgsPerSubject: -1, DenyDelete: true, DenyPurge: true, AllowDirect: true,
			Duplicates: commandDuplicates, Replicas: o.Replicas,
		},
		{
			Name: StreamHeartbeats, Description: "The last pulse of each node", Subjects: []string{heartbeatPrefix + "*"},
			// Nothing answers a pulse: the server acknowledges wherever a message says, with its own right to publish.
			NoAck:   true,
			Storage: js.MemoryStorage, Retention: js.LimitsPolicy, Discard: js.DiscardOld, MaxAge: heartbeatAge, MaxMsgsPerSubject: 1,
			MaxMsgs: -1, MaxBytes: -1, MaxConsumers: -1, AllowDirect: true, Replicas: o.Replicas,
		},
	}
}

// Setup makes every stream and consumer, or brings it up to the options. It may be run by any number of processes at once, and
// waits until the servers have a quorum or ctx is done.
func Setup(ctx context.Context, nc *nats.Conn, o StreamOptions) error {
	o = o.withDefaults()
	api, err := js.New(nc)
	if err != nil {
		return fmt.Errorf("set up streams: %w", err)
	}
	// A request that comes before there is a leader is answered by nobody, and would be waited for in vain.
	if err := insist(ctx, leaderTry, func(ctx context.Context) error {
		_, err := api.AccountInfo(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("set up streams: %w", err)
	}
	var makings errgroup.Group
	making := func(what string, try func(context.Context) error) {
		makings.Go(func() error {
			if err := insist(ctx, makeTry, try); err != nil {
				return fmt.Errorf("set up %s: %w", what, err)
			}
			return nil
		})
	}
	for _, config := range o.streams() {
		making("stream "+config.Name, func(ctx context.Context) error {
			if err := keepNotes(ctx, api, &config); err != nil {
				return err
			}
			_, err := api.CreateOrUpdateStream(ctx, config)
			return err
		})
	}
	for _, config := range o.buckets() {
		making("bucket "+config.Bucket, func(ctx context.Context) error {
			_, err := api.CreateOrUpdateKeyValue(ctx, config)
			return err
		})
	}
	making("bucket "+BucketSnapshots, func(ctx context.Context) error {
		_, err := api.CreateOrUpdateObjectStore(ctx, js.ObjectStoreConfig{
			Bucket: BucketSnapshots, Description: "Snapshots of projections", Storage: js.FileStorage, Replicas: o.Replicas,
		})
		return err
	})
	if err := makings.Wait(); err != nil {
		return err
	}
	for _, service := range commandServices {
		making("consumer "+service+" of "+StreamCommands, func(ctx context.Context) error {
			_, err := api.CreateOrUpdateConsumer(ctx, StreamCommands, js.ConsumerConfig{
				Durable: service, Description: "Commands for " + service, FilterSubjects: commandFilters(service),
				AckPolicy: js.AckExplicitPolicy, AckWait: commandAckWait, MaxDeliver: -1, MaxAckPending: commandsInFlight,
				DeliverPolicy: js.DeliverAllPolicy, Replicas: o.Replicas,
			})
			return err
		})
	}
	return makings.Wait()
}

// buckets are the definitions of all key-value buckets.
func (o StreamOptions) buckets() []js.KeyValueConfig {
	return []js.KeyValueConfig{
		{
			Bucket: BucketLeases, Description: "Leadership of services", History: 1, LimitMarkerTTL: leaseMarkers,
			Storage: js.FileStorage, Replicas: o.Replicas,
		},
		{
			Bucket: BucketPositions, Description: "Where subscribers stand", History: 1, MaxValueSize: maxPosition,
			Storage: js.FileStorage, Replicas: o.Replicas,
		},
		{
			Bucket: BucketAudit, Description: "The Merkle tree over the log, and its signed checkpoint", History: 1,
			Storage: js.FileStorage, Replicas: o.Replicas,
		},
	}
}

// keepNotes takes over what the stream that is there has noted of itself, such as up to where it was imported: an update would wipe it.
func keepNotes(ctx context.Context, api js.JetStream, config *js.StreamConfig) error {
	stream, err := api.Stream(ctx, config.Name)
	switch {
	case errors.Is(err, js.ErrStreamNotFound):
		return nil
	case err != nil:
		return err
	}
	for _, name := range []string{metadataImported, metadataImporting} {
		if note, ok := stream.CachedInfo().Config.Metadata[name]; ok {
			if config.Metadata == nil {
				config.Metadata = map[string]string{}
			}
			config.Metadata[name] = note
		}
	}
	return nil
}

const (
	leaderTry = 250 * time.Millisecond // how long a question for the leader may take
	makeTry   = 400 * time.Millisecond // how long the making of a stream may, which nobody answers where another asks for the same at once; the next try waits longer
	mostTry   = 10 * time.Second
)

// insist tries again while the servers are still finding each other, or somebody else is making the same thing. Each try is given
// more time than the one before: a slow machine is no absent one.
func insist(ctx context.Context, attempt time.Duration, try func(context.Context) error) error {
	const pause = 50 * time.Millisecond
	for ; ; attempt = min(attempt*3/2, mostTry) {
		once, cancel := context.WithTimeout(ctx, attempt)
		err := try(once)
		cancel()
		if err == nil || lasting(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no quorum: %w", events.ErrUnavailable), ctx.Err(), err)
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// lasting reports whether an error will be the same next time: the servers understood the request and will not do it.
func lasting(err error) bool {
	var api *js.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.Code == 400 && api.ErrorCode != js.JSErrCodeStreamNameInUse && api.ErrorCode != js.JSErrCodeConsumerExists &&
		api.ErrorCode != codeNoPeers && api.ErrorCode != codeReplicasNotClustered
}

// Codes of the API while a cluster is coming up.
const (
	codeNoPeers              = 10005
	codeReplicasNotClustered = 10074
)
