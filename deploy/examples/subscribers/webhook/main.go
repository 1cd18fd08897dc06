// Command webhook posts to a URL whenever a node of the cluster is lost.
//
//	rutter subscriber pager --subject 'evt.node.*'
//	go run ./deploy/examples/subscribers/webhook --credentials pager.creds --url https://example.com/hook
//
// The body is the event as a CloudEvents document. An event is posted until the answer is 2xx, and may be posted twice where the
// program dies between the two; its id, also in the header Idempotency-Key, tells the other side.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/subscription"
)

func main() {
	servers := flag.String("nats-url", "nats://127.0.0.1:4222", "the cluster's NATS servers, with commas between them")
	credentials := flag.String("credentials", "pager.creds", "file that `rutter subscriber` wrote")
	ca := flag.String("ca", "", "certificate authority of the servers, where they use TLS")
	position := flag.String("position", "pager.position", "file that keeps where the program stands in the log")
	url := flag.String("url", "", "where to post")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *servers, *credentials, *ca, *position, *url); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, servers, credentials, ca, position, url string) error {
	var options []nats.Option
	if ca != "" {
		options = append(options, nats.RootCAs(ca))
	}
	nc, err := jetstream.Connect(servers, credentials, options...)
	if err != nil {
		return err
	}
	defer nc.Close()
	return subscription.Run(ctx, jetstream.Open(nc, catalog.New()).Log(),
		subscription.Durable(subscription.File(position)), subscription.Retry(100*time.Millisecond, 30*time.Second),
		subscription.On(func(ctx context.Context, e events.Event, lost node.LostV1) error {
			if err := post(ctx, url, e); err != nil {
				log.Print(err)
				return err
			}
			log.Printf("posted that %s is lost after %s", e.Subject.Node(), lost.Silent)
			return nil
		}))
}

func post(ctx context.Context, url string, e events.Event) error {
	document, err := cloudevent.JSON(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(document))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/cloudevents+json")
	request.Header.Set("Idempotency-Key", e.ID)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("post event %s: %w", e.ID, err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("post event %s: %s", e.ID, answer.Status)
	}
	return nil
}
