package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/client"
)

func newDeleteCommand(c *cli) *cobra.Command {
	var how changing
	var files []string
	var missingOK bool
	command := &cobra.Command{
		Use:   "delete WORKLOAD… | -f FILE",
		Short: "Delete workloads, and wait until nothing of them runs",
		Long: `Delete workloads: their instances stop gracefully first. Nothing is forgotten: history and why go on
telling what there was.`,
		Example: "  rutter delete workload web\n  rutter delete workload/web workload/api --reason \"moved away\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			targets, err := c.deletionTargets(args, files)
			if err != nil {
				return err
			}
			if how.key != "" && len(targets) > 1 {
				return usagef("--idempotency-key names one change: delete workloads one by one with it")
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			sequences := make([]uint64, len(targets))
			for i, t := range targets {
				result, err := gateway.Delete(cmd.Context(), t.namespace, t.name, how.options())
				if missingOK && client.IsNotFound(err) {
					targets[i].skip = true
					fmt.Fprintf(c.out, "workload/%s is not there\n", t.name)
					continue
				}
				if err != nil {
					return fmt.Errorf("workload/%s: %w", t.name, err)
				}
				sequences[i] = result.Operation.Sequence
				c.printResult(t.name, result)
			}
			for i, t := range targets {
				if !how.wait || t.skip {
					continue
				}
				if err := c.awaitGone(cmd.Context(), gateway, t.namespace, t.name, sequences[i], how.timeout); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "workload/%s deleted\n", t.name)
			}
			return nil
		},
	}
	how.flags(command.Flags())
	command.Flags().StringSliceVarP(&files, "filename", "f", nil, "delete the workloads of these files")
	command.Flags().BoolVar(&missingOK, "ignore-not-found", false, "a workload that is not there is no error")
	c.addNamespaceFlag(command)
	return command
}

type deletionTarget struct {
	namespace, name string
	skip            bool
}

func (c *cli) deletionTargets(args, files []string) (targets []deletionTarget, err error) {
	if len(args) == 0 && len(files) == 0 {
		return nil, usagef("delete what? want workload/<name>, or files by -f")
	}
	if len(files) > 0 {
		documents, err := c.readDocuments(files)
		if err != nil {
			return nil, err
		}
		for _, w := range documents {
			targets = append(targets, deletionTarget{namespace: w.Metadata.Namespace, name: w.Metadata.Name})
		}
	}
	if len(args) > 0 {
		_, named, err := thingsIn(args, nil, workloads)
		if err != nil {
			return nil, err
		}
		if len(named) == 0 {
			return nil, usagef("delete which workload? want workload/<name>")
		}
		for _, t := range named {
			targets = append(targets, deletionTarget{namespace: c.space(), name: t.name})
		}
	}
	return targets, nil
}
