package subscribers_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/subscription"
)

// The environment of a process that is there to be killed.
const (
	envMode  = "SUBSCRIBER_MODE"
	envURL   = "SUBSCRIBER_URL"
	envCreds = "SUBSCRIBER_CREDS"
	envFile  = "SUBSCRIBER_FILE"
	envSteps = "SUBSCRIBER_STEPS" // after how many steps it kills itself; 0: never
	envUntil = "SUBSCRIBER_UNTIL" // sequence at which it ends by itself; 0: never
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		if err := victim(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// census is what a fold has come to: any event left out, doubled or moved gives another chain.
type census struct {
	Count int    `json:"count"`
	Chain string `json:"chain"`
}

func tally(c census, e events.Event) census {
	sum := sha256.Sum256([]byte(c.Chain + e.ID))
	return census{Count: c.Count + 1, Chain: hex.EncodeToString(sum[:])}
}

// dying is a store that takes the process with it at the chosen step, before or after it has kept something.
type dying struct {
	subscription.Store
	steps int
}

func (d *dying) step() {
	if d.steps--; d.steps == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d *dying) Advance(ctx context.Context, handle func(context.Context) (subscription.Position, error)) error {
	d.step()
	err := d.Store.Advance(ctx, func(ctx context.Context) (subscription.Position, error) {
		at, err := handle(ctx)
		d.step()
		return at, err
	})
	d.step()
	return err
}

// victim is the subscriber: a fold kept in a file, a fold kept in the bucket, or handlers whose effect and position stand in one line of a
// journal, as they would in one transaction of a database.
func victim(mode string) error {
	nc, err := jetstream.Connect(os.Getenv(envURL), os.Getenv(envCreds))
	if err != nil {
		return err
	}
	client := jetstream.Open(nc, catalog.New())
	steps, _ := strconv.Atoi(os.Getenv(envSteps))
	until, _ := strconv.ParseUint(os.Getenv(envUntil), 10, 64)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fmt.Println("up")
	switch mode {
	case "file", "bucket":
		store := &dying{Store: subscription.File(os.Getenv(envFile)), steps: steps}
		if mode == "bucket" {
			store.Store = client.Position(mode)
		}
		at, err := store.Load(ctx)
		if err != nil || until > 0 && at.Sequence >= until {
			return err
		}
		err = subscription.Fold(ctx, client.Log(), store, func(c census, e events.Event) census {
			store.step()
			if e.Sequence == until {
				cancel()
			}
			return tally(c, e)
		})
		return expected(err)
	default:
		journal := &journal{path: os.Getenv(envFile)}
		at, err := journal.Load(ctx)
		if err != nil || until > 0 && at.Sequence >= until {
			return err
		}
		store := &dying{Store: journal, steps: steps}
		err = subscription.Run(ctx, client.Log(), subscription.Durable(store), subscription.Any(func(_ context.Context, e events.Event) error {
			journal.effect = "handled " + e.ID
			if e.Sequence == until {
				cancel()
			}
			return nil
		}))
		return expected(err)
	}
}

func expected(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// journal is a store of the program's own: a file of lines, each an effect and the position that it leads to. A line that was not written whole is
// no line.
type journal struct {
	path   string
	effect string
}

// line is one of them.
type line struct {
	subscription.Position
	Effect string `json:"effect"`
}

func (j *journal) read() (lines []line, size int64, err error) {
	file, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = file.Close() }()
	for r := bufio.NewReader(file); ; {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return lines, size, nil // the end, or half a line
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, err
		}
		lines, size = append(lines, l), size+int64(len(text))
	}
}

func (j *journal) Load(context.Context) (subscription.Position, error) {
	lines, size, err := j.read()
	if err != nil || len(lines) == 0 {
		return subscription.Position{}, err
	}
	return lines[len(lines)-1].Position, os.Truncate(j.path, size)
}

func (j *journal) Advance(ctx context.Context, handle func(context.Context) (subscription.Position, error)) error {
	at, err := handle(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(line{Position: at, Effect: j.effect})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}
