package subscription_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/subscription"
)

// A whole program that says which nodes are lost, and misses none while it does not run.
func Example() {
	nc, err := jetstream.Connect("nats://127.0.0.1:4222", "pager.creds")
	if err != nil {
		log.Fatal(err)
	}
	err = subscription.Run(context.Background(), jetstream.Open(nc, catalog.New()).Log(), subscription.Durable(subscription.File("pager.position")),
		subscription.On(func(_ context.Context, e events.Event, lost node.LostV1) error {
			fmt.Println(e.Subject.Node(), "is lost after", lost.Silent)
			return nil
		}))
	log.Fatal(err)
}

// The same on a log in memory, as a program's own tests would.
func ExampleOn() {
	ctx, cancel := context.WithCancel(context.Background())
	cluster := memlog.New(catalog.New())
	_, _ = cluster.Append(ctx, events.Batch{{Subject: events.NodeSubject("a"), Events: []events.Event{
		{ID: "1", Source: "/test", Data: node.LostV1{Silent: spec.Duration(2200 * time.Millisecond)}},
	}}})
	err := subscription.Run(ctx, cluster, subscription.On(func(_ context.Context, e events.Event, lost node.LostV1) error {
		fmt.Println(e.Subject.Node(), "is lost after", lost.Silent)
		cancel()
		return nil
	}))
	fmt.Println(err)
	// Output:
	// a is lost after 2.2s
	// context canceled
}

// How often each node was lost, counted once in effect: the count and the position are kept in one write, in a key-value bucket.
func ExampleFold() {
	nc, err := jetstream.Connect("nats://127.0.0.1:4222", "census.creds")
	if err != nil {
		log.Fatal(err)
	}
	client := jetstream.Open(nc, catalog.New())
	err = subscription.Fold(context.Background(), client.Log(), client.Position("census"), func(losses map[string]int, e events.Event) map[string]int {
		if losses == nil {
			losses = map[string]int{}
		}
		losses[e.Subject.Node()]++
		return losses
	}, subscription.Types("run.rutter.node.lost"))
	log.Fatal(err)
}
