package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/gateway/httpapi"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/pki"
)

// tokensFile is the gateway's list of tokens, in the keys' directory.
const tokensFile = "tokens.yaml"

// dataDir is where everything of this user is kept by default.
func dataDir() string { return filepath.Dir(client.DefaultPath()) }

func newInitCommand() *cobra.Command {
	var dir, gateway string
	var hosts []string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the keys, certificates and tokens of a deployment over several machines",
		Long: `Make what a deployment over several machines needs, once: the keys that the NATS servers trust, credentials for each service,
a join token for nodes, certificates for the hosts named, and a token for the first administrator. What is there is kept.

Copy to a NATS server *.jwt, ca.pem, server.pem, server-key.pem and admin.creds (never ca-key.pem); to a service its own .creds and ca.pem; to node-health nodes.nk as well; to
the auditor auditor.key; to a node join.token and ca.pem; auditor.vkey to whoever checks the log. Keep operator.nk and rutter.nk away from all of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := initDeployment(dir, hosts, gateway, filepath.Join(dir, "client.json")); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "keys, credentials and tokens are in %s; the command line finds the gateway by %s=%s\n", dir, client.EnvConfig, filepath.Join(dir, "client.json"))
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", filepath.Join(dataDir(), "keys"), "directory to make")
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "names and addresses of the NATS servers and gateways, for their certificate")
	cmd.Flags().StringVar(&gateway, "gateway", "http://"+defaultListen, "address of the gateway, for client.json")
	return cmd
}

// initDeployment makes what is missing of a deployment's keys.
func initDeployment(dir string, hosts []string, gateway, clientFile string) error {
	if err := (client.Config{Address: gateway}).Check(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if _, err := auth.Init(dir); err != nil {
		return err
	}
	if len(hosts) > 0 {
		if err := pki.Init(dir, hosts); err != nil {
			return err
		}
	}
	tokens := filepath.Join(dir, tokensFile)
	_, tokensErr := os.Stat(tokens)
	_, clientErr := os.Stat(clientFile)
	if tokensErr == nil && clientErr == nil {
		return nil
	}
	if tokensErr == nil {
		return fmt.Errorf("%s is there and %s is not: remove the first to have both made anew", tokens, clientFile)
	}
	if !errors.Is(tokensErr, fs.ErrNotExist) {
		return fmt.Errorf("tokens: %w", tokensErr)
	}
	secret, entry := httpapi.NewToken("admin", httpapi.RoleAdmin)
	if err := httpapi.SaveTokens(tokens, entry); err != nil {
		return err
	}
	config := client.Config{Address: gateway, Token: secret}
	if len(hosts) > 0 {
		config.CA = pki.CAFile(dir)
	}
	return config.Save(clientFile)
}
