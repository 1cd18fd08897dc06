package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
)

const (
	roomEvery   = 250 * time.Millisecond
	roomTry     = 5 * time.Second
	reserveMost = 256 << 20 // bytes that are kept free on a large disk
)

// Reserve is how many bytes of a disk of so many are kept free: a tenth, 256 MiB at most.
func Reserve(size uint64) uint64 { return min(size/10, reserveMost) }

// KeepRoom closes the log for writing while its disk has less than [Reserve] free, and opens it again once there is half as much more. A single
// server whose disk is filled to the last byte stores a batch in part: it finds room to stage the batch and none to store all of it.
// At a byte limit it refuses batches whole, so its limit is lowered to what it holds; nothing is dropped by that. disk says how
// many bytes there are and how many are free. It returns when ctx is done.
func KeepRoom(ctx context.Context, nc *nats.Conn, o StreamOptions, disk func() (size, free uint64, err error), log logrus.FieldLogger) error {
	api, err := js.New(nc)
	if err != nil {
		return fmt.Errorf("keep room for the log: %w", err)
	}
	limit := o.withDefaults().MaxEventBytes
	closed := false
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		size, free, err := disk()
		if err != nil {
			return fmt.Errorf("keep room for the log: %w", err)
		}
		reserve := Reserve(size)
		if full := free < reserve || closed && free < reserve+reserve/2; full != closed {
			if err := limitEvents(ctx, api, limit, full); err != nil && ctx.Err() == nil {
				log.WithError(err).Error("cannot change the log's byte limit; tries again")
			} else if closed = full; closed {
				log.WithFields(logrus.Fields{"free": free, "reserve": reserve}).Error("the disk is nearly full: the log takes no more events until there is room")
			} else {
				log.WithField("free", free).Info("there is room again: the log takes events")
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// limitEvents sets the byte limit of EVENTS: to what it holds, or to what the operator chose.
func limitEvents(ctx context.Context, api js.JetStream, limit int64, full bool) error {
	ctx, cancel := context.WithTimeout(ctx, roomTry)
	defer cancel()
	stream, err := api.Stream(ctx, StreamEvents)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	config := info.Config
	config.MaxBytes = limit
	if full {
		config.MaxBytes = max(1, int64(info.State.Bytes))
	}
	_, err = api.UpdateStream(ctx, config)
	return err
}
