package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/internal/auth"
)

func newSubscriberCommand() *cobra.Command {
	var keys, file string
	var subjects []string
	var expires time.Duration
	var live bool
	cmd := &cobra.Command{
		Use:   "subscriber NAME",
		Short: "Make credentials of a program that follows the log",
		Long: `Make NATS credentials of a program that follows the log: it may read events, live and past, and keep its own position under NAME, and is allowed
to write nothing else. It speaks to JetStream though, which lets a hostile program have answers delivered where they do harm, so give these credentials
to programs that you trust. With --live it can hear new events and nothing else, and nothing can be made of its credentials but to listen; the past it
can read at the gateway, with a token of its own.

It needs rutter.nk of the keys' directory, so run it where ` + "`rutter init`" + ` ran, and give the file to the program alone.
docs/subscribers.md says how to go on.`,
		Example: `  rutter subscriber pager
  rutter subscriber pager --subject 'evt.node.*' --expires 720h -o pager.creds
  rutter subscriber board --live --subject 'evt.workload.>'`,
		Args: args(1, 1, "the name of the subscriber"),
		RunE: func(cmd *cobra.Command, names []string) error {
			name := names[0]
			make := auth.OpenDeployment(keys).NewSubscriber
			if live {
				make = auth.OpenDeployment(keys).NewListener
			}
			creds, err := make(name, expires, subjects...)
			if err != nil {
				return err
			}
			if file == "" {
				file = name + ".creds"
			}
			if file == "-" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), creds)
				return err
			}
			out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("credentials of %s: %w", name, err)
			}
			if _, err := out.WriteString(creds); err != nil {
				return err
			}
			if err := out.Close(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is for %s; its inbox begins with _INBOX_%s\n", file, name, auth.SubscriberUser(name))
			return nil
		},
	}
	cmd.Flags().StringVar(&keys, "keys", filepath.Join(dataDir(), "keys"), "directory of keys that rutter init or rutter up made")
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write, - for standard output (default NAME.creds)")
	cmd.Flags().StringSliceVar(&subjects, "subject", nil, "only events under these subjects, such as evt.node.* (default all)")
	cmd.Flags().BoolVar(&live, "live", false, "new events only: for programs that are not to be trusted with more")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long the credentials hold (default for ever)")
	return cmd
}
