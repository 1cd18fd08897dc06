package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newDeleteCommand(c *cli) *cobra.Command {
	var how changing
	var files []string
	var missingOK, force bool
	command := &cobra.Command{
		Use:   "delete WORKLOAD… | NODE… | -f FILE",
		Short: "Delete workloads, and wait until nothing of them runs; remove nodes that are lost or drained",
		Long: `Delete workloads: their instances stop gracefully first. Nothing is forgotten: history and why go on
telling what there was.

A node goes only where it is lost, or drained and empty; --force takes out any, although what it holds
may still run there. Its name is free again. An agent that is started anew joins again.`,
		Example: "  rutter delete workload web\n  rutter delete workload/web workload/api --reason \"moved away\"\n  rutter delete node/node-7",
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
			if force && !slices.ContainsFunc(targets, func(t deletionTarget) bool { return t.node }) {
				return usagef("--force is for nodes")
			}
			sequences := make([]uint64, len(targets))
			for i, t := range targets {
				result, err := t.delete(cmd.Context(), gateway, force, how.options())
				if missingOK && client.IsNotFound(err) {
					targets[i].skip = true
					fmt.Fprintf(c.out, "%s is not there\n", t)
					continue
				}
				if err != nil {
					return fmt.Errorf("%s: %w", t, err)
				}
				if t.node {
					targets[i].skip = true // it is gone with the answer
					fmt.Fprintf(c.out, "%s removed\n", t)
					continue
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
	command.Flags().BoolVar(&missingOK, "ignore-not-found", false, "what is not there is no error")
	command.Flags().BoolVar(&force, "force", false, "take out a node that is neither lost nor drained")
	c.addNamespaceFlag(command)
	return command
}

type deletionTarget struct {
	namespace, name string
	node            bool
	skip            bool
}

// String names the target as command lines do.
func (t deletionTarget) String() string {
	if t.node {
		return "node/" + t.name
	}
	return "workload/" + t.name
}

func (t deletionTarget) delete(ctx context.Context, gateway *client.Client, force bool, options client.Options) (api.Result, error) {
	if t.node {
		return gateway.RemoveNode(ctx, t.name, force, options)
	}
	return gateway.Delete(ctx, t.namespace, t.name, options)
}

func (c *cli) deletionTargets(args, files []string) (targets []deletionTarget, err error) {
	if len(args) == 0 && len(files) == 0 {
		return nil, usagef("delete what? want workload/<name>, node/<name>, or files by -f")
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
		_, named, err := thingsIn(args, nil, workloads, nodes)
		if err != nil {
			return nil, err
		}
		if len(named) == 0 {
			return nil, usagef("delete which? want workload/<name> or node/<name>")
		}
		for _, t := range named {
			targets = append(targets, deletionTarget{namespace: c.space(), name: t.name, node: t.kind.name == nodes.name})
		}
	}
	return targets, nil
}
