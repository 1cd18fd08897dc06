package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/internal/boot"
)

// serverCommands are the commands that run a part of the cluster, and those that prepare one.
func serverCommands() []*cobra.Command {
	servers := []*cobra.Command{
		newUpCommand(), newNATSCommand(), newGatewayCommand(), newReconcilerCommand(), newSchedulerCommand(), newNodeHealthCommand(),
		newAuditorCommand(), newAgentdCommand(),
	}
	return append(servers, newInitCommand(), newImportCommand(), newSubscriberCommand(), newNodeResetCommand(), newConfigCommand(servers), newShimCommand(), newBenchCommand())
}

// process is a server process on its way up.
type process struct {
	log *logrus.Entry
}

// common are the settings of every server process.
type common struct {
	config    string
	logLevel  string
	logFormat string
}

// newServerCommand makes a command whose flags can be given by environment and file as well.
func newServerCommand(use, short, long string, define func(*pflag.FlagSet), run func(context.Context, *process) error) *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := boot.Configure(cmd.Flags(), c.file(), os.LookupEnv); err != nil {
				return err
			}
			log, err := boot.Logger(cmd.ErrOrStderr(), c.logLevel, c.logFormat, cmd.Name())
			if err != nil {
				return err
			}
			return run(cmd.Context(), &process{log: log})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.config, "config", "", "YAML file of settings; its keys are the names of these flags")
	flags.StringVar(&c.logLevel, "log-level", "info", "trace, debug, info, warn or error")
	flags.StringVar(&c.logFormat, "log-format", "text", "text or json")
	define(flags)
	return cmd
}

func (c *common) file() string {
	if c.config != "" {
		return c.config
	}
	return os.Getenv(boot.EnvName("config"))
}

// newConfigCommand prints what a server command would run with.
func newConfigCommand(servers []*cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "config COMMAND [flags of the command]",
		Short: "Print the settings a server command would run with, and where each comes from",
		Long: "A flag goes over the environment (RUTTER_DATA_DIR for --data-dir), that over the file given by --config, that over the default.\n\n" +
			"  rutter config up\n  RUTTER_LOG_LEVEL=debug rutter config agentd --config agent.yaml",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			i := slices.IndexFunc(servers, func(s *cobra.Command) bool { return s.Name() == args[0] })
			if i < 0 {
				return usagef("%q is no server command: want up, nats, gateway, reconciler, scheduler, node-health, auditor or agentd", args[0])
			}
			server := servers[i]
			if err := server.ParseFlags(args[1:]); err != nil {
				return usagef("%v", err)
			}
			file, err := server.Flags().GetString("config")
			if err != nil {
				return err
			}
			if file == "" {
				file = os.Getenv(boot.EnvName("config"))
			}
			sources, err := boot.Configure(server.Flags(), file, os.LookupEnv)
			if err != nil {
				return err
			}
			return boot.PrintConfig(cmd.OutOrStdout(), server.Flags(), sources)
		},
	}
}

// newShimCommand only documents the shim: main starts it before the commands are made.
func newShimCommand() *cobra.Command {
	return &cobra.Command{
		Use: "shim", Short: "The small process beside each container (started by agentd)", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return usagef("the shim is started by agentd alone") },
	}
}

// hostName names this host.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// connectPatience is how long a process waits for its servers before it gives up: its supervisor starts it again.
const connectPatience = 2 * time.Minute
