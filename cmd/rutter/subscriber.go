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
	cmd := &cobra.Command{
		Use:   "subscriber NAME",
		Short: "Make credentials of a program that follows the log",
		Long: `Make NATS credentials of a program that follows the log: it may read events, live and past, and keep its own position under NAME, and can
write nothing else. It needs rutter.nk of the keys' directory, so run it where ` + "`rutter init`" + ` ran, and give the file to the program alone.
docs/subscribers.md says how to go on.`,
		Example: `  rutter subscriber pager
  rutter subscriber pager --subject 'evt.node.*' --expires 720h -o pager.creds`,
		Args: args(1, 1, "the name of the subscriber"),
		RunE: func(cmd *cobra.Command, names []string) error {
			name := names[0]
			creds, err := auth.OpenDeployment(keys).NewSubscriber(name, expires, subjects...)
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
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long the credentials hold (default for ever)")
	return cmd
}
