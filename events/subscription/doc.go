// Package subscription lets a program outside Rutter react to the cluster: handlers typed by event, a filter that the server applies, and
// a position that outlives the program.
//
//	log := jetstream.Open(nc, catalog.New()).Log()
//	err := subscription.Run(ctx, log,
//		subscription.On(func(ctx context.Context, e events.Event, lost node.LostV1) error {
//			return page(ctx, e.Subject.Node(), lost.Silent)
//		}),
//		subscription.Durable(subscription.File("pager.position")))
//
// What is promised: events come in the order of the log, none twice in one run and none left out; where the log itself has lost some, Run says so
// with [events.ErrGap] instead of going on. Types that this version does not know arrive as [events.Unknown] with their bytes as they were.
//
// With [Durable] the position is kept after each event that was handled, in one write, so that a program that is killed at any moment goes on where
// it was. The event under way at that moment comes again: its handling and the keeping of the position are two steps. There are three ways to
// make that once in effect. [Fold] keeps what the handling leads to in the same write as the position. A [Store] of the program's own
// keeps the position in the transaction in which the event is handled. And a handler that reaches further, such as over HTTP, passes on the
// event's ID, which is unique for ever, and the other side drops what it has.
package subscription
