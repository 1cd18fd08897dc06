package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

// momentHelp is what the flags that name a moment take.
const momentHelp = "a sequence, an RFC 3339 time, or how long ago (-15m)"

func (c *cli) addAtFlag(command *cobra.Command) {
	command.Flags().StringVar(&c.at, "at", "", "show the state at this moment instead of now: "+momentHelp)
}

// reader connects for reading, at the moment of --at where that is given. The moment is worked out once, so that all reads of a command
// are of one state, and ages are told as they were then.
func (c *cli) reader(ctx context.Context) (*client.Client, error) {
	gateway, err := c.connect()
	if err != nil || c.at == "" {
		return gateway, err
	}
	moment, err := gateway.At(c.at).Moment(ctx)
	if err != nil {
		return nil, err
	}
	c.now = func() time.Time { return moment.Time }
	return gateway.At(strconv.FormatUint(moment.Sequence, 10)), nil
}

// momentText is a moment in words.
func momentText(m api.Moment) string {
	if m.Sequence == 0 {
		return "the beginning"
	}
	return fmt.Sprintf("sequence %d (%s)", m.Sequence, m.Time.UTC().Format(time.DateTime))
}
