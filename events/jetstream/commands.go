package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Commands implements [events.Commands] on the stream COMMANDS.
type Commands struct{ client *Client }

var _ events.Commands = (*Commands)(nil)

// Send implements events.Commands. The command's id is the message's, so that the stream keeps a command sent twice once.
func (c *Commands) Send(ctx context.Context, command events.Command) error {
	if command.Type == "" && command.Data != nil {
		command.Type = command.Data.WireType()
	}
	if err := command.Validate(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	header, data, err := cloudevent.EncodeCommand(command)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	header[js.MsgIDHeader] = []string{command.ID}
	if n, most := cloudevent.Size(header, data), min(events.MaxCommand, int(c.client.nc.MaxPayload())); n > most {
		return fmt.Errorf("send: the command takes %d bytes, at most %d: %w", n, most, events.ErrTooLarge)
	}
	ctx, cancel := c.client.bounded(ctx)
	defer cancel()
	for {
		err := c.send(ctx, &nats.Msg{Subject: command.Subject, Header: header, Data: data})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, events.ErrBusy):
			return fmt.Errorf("send command %s to %s: %w", command.ID, command.Subject, err)
		}
		// The same command is being stored for somebody else.
		select {
		case <-ctx.Done():
			return fmt.Errorf("send command %s to %s: %w: %w", command.ID, command.Subject, err, ctx.Err())
		case <-time.After(rand.N(busyPause)):
		}
	}
}

// busyPause is at most how long to wait before what was busy is tried again.
const busyPause = 20 * time.Millisecond

func (c *Commands) send(ctx context.Context, msg *nats.Msg) error {
	answer, err := c.client.request(ctx, msg)
	if err != nil {
		return err
	}
	var ack pubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return fmt.Errorf("answer is not an acknowledgement (%w): %w", err, events.ErrUnknown)
	}
	if ack.Error != nil {
		return ack.Error
	}
	return nil
}

// commandsAhead is how many commands are fetched before they are asked for. Few: others of the service may be idle.
const commandsAhead = 8

// Consume implements events.Commands. The consumer of the service was made by [Setup].
func (c *Commands) Consume(ctx context.Context, service string, handle func(events.Delivery)) error {
	if commandFilters(service) == nil {
		return fmt.Errorf("consume commands: nobody sends commands to %q: %w", service, events.ErrInvalid)
	}
	const pause = 100 * time.Millisecond
	for {
		err := c.consume(ctx, service, handle)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, events.ErrDenied):
			return fmt.Errorf("consume commands of %s: %w", service, err)
		}
		c.client.log.WithError(err).WithField("consumer", service).Debug("begin to consume commands again")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// consume hands deliveries to handle until the consumer cannot be heard any more.
func (c *Commands) consume(ctx context.Context, service string, handle func(events.Delivery)) error {
	denied := c.client.denials.watch(apiPrefix+"CONSUMER.INFO."+StreamCommands+"."+service, apiPrefix+"CONSUMER.MSG.NEXT."+StreamCommands+"."+service)
	defer denied.stop()
	ctx, stop := denied.context(ctx)
	defer stop()
	api, err := js.New(c.client.nc)
	if err != nil {
		return err
	}
	consumer, err := api.Consumer(ctx, StreamCommands, service)
	if err != nil {
		return errors.Join(denied.err(), err)
	}
	messages, err := consumer.Messages(js.PullMaxMessages(commandsAhead), js.PullExpiry(30*time.Second), js.PullHeartbeat(2*time.Second))
	if err != nil {
		return err
	}
	defer giveBack(messages)
	decoder := cloudevent.NewDecoder(c.client.registry)
	for {
		msg, err := messages.Next(js.NextContext(ctx))
		switch {
		case errors.Is(err, js.ErrNoHeartbeat):
			continue // the server may be electing; the library asks again
		case err != nil:
			return errors.Join(denied.err(), err)
		case ctx.Err() != nil:
			_ = msg.Nak()
			return ctx.Err()
		}
		metadata, err := msg.Metadata()
		if err != nil {
			return err
		}
		handle(&delivery{
			msg: msg, attempt: int(metadata.NumDelivered),
			command: decoder.Command(msg.Subject(), cloudevent.Header(msg.Headers()), msg.Data()),
		})
	}
}

// giveBack returns what was fetched ahead, so that another consumer need not wait for it.
func giveBack(messages js.MessagesContext) {
	messages.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for {
		msg, err := messages.Next(js.NextContext(ctx))
		if err != nil {
			messages.Stop()
			return
		}
		_ = msg.Nak() // where it is lost the message comes again by itself
	}
}

// delivery implements events.Delivery.
type delivery struct {
	msg     js.Msg
	command events.Command
	attempt int
}

// Command implements events.Delivery.
func (d *delivery) Command() events.Command { return d.command }

// Attempt implements events.Delivery.
func (d *delivery) Attempt() int { return d.attempt }

// Ack implements events.Delivery.
func (d *delivery) Ack() error { return d.end("acknowledge", d.msg.Ack()) }

// Nak implements events.Delivery.
func (d *delivery) Nak(delay time.Duration) error { return d.end("put off", d.msg.NakWithDelay(delay)) }

func (d *delivery) end(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s command %s: %w: %w", doing, d.command.ID, events.ErrUnavailable, err)
}
