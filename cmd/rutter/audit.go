package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newAuditCommand(c *cli) *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Prove what the log says, and read who wanted what",
		Long: `The auditor keeps a Merkle tree over the log and signs checkpoints of it. Keep a checkpoint and the public key (auditor.vkey)
where whoever can change the log cannot; from then on nothing that the checkpoint covers can be changed, left out or slipped in unseen.`,
		Args: args(1, -1, "checkpoint, prove, consistency, verify or log"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return usagef("there is no `rutter audit %s`: want checkpoint, prove, consistency, verify or log", args[0])
		},
	}
	for _, sub := range []*cobra.Command{newCheckpointCommand(c), newProveCommand(c), newConsistencyCommand(c), newVerifyCommand(c), newAuditLogCommand(c)} {
		c.addClientFlags(sub)
		command.AddCommand(sub)
	}
	return command
}

// keyFlag is the flag of a log's public key.
func keyFlag(command *cobra.Command, key *string) {
	command.Flags().StringVar(key, "key", "", "public key of the log, or the file that it is in (default auditor.vkey beside client.json, or in keys there)")
}

// auditKey is the log's public key; nil where none is known.
func (c *cli) auditKey(given string) (note.Verifier, error) {
	if given != "" {
		if text, err := os.ReadFile(given); err == nil {
			given = string(text)
		} else if !strings.Contains(given, "+") {
			return nil, fmt.Errorf("key: %w", err)
		}
		return audit.ParseVerifier(given)
	}
	dir := filepath.Dir(cmp.Or(c.config, os.Getenv(client.EnvConfig), client.DefaultPath()))
	for _, file := range []string{filepath.Join(dir, "auditor.vkey"), filepath.Join(dir, "keys", "auditor.vkey")} {
		if text, err := os.ReadFile(file); err == nil {
			return audit.ParseVerifier(string(text))
		}
	}
	return nil, nil
}

// openCheckpoint reads a note and checks its signature where a key is known; where none is it says so once.
func (c *cli) openCheckpoint(signed []byte, key note.Verifier) (audit.Checkpoint, error) {
	if key == nil {
		fmt.Fprintln(c.err, "the signature was not checked: no public key is known (--key)")
		return audit.Read(signed)
	}
	return audit.Open(signed, key)
}

func newCheckpointCommand(c *cli) *cobra.Command {
	var key, format string
	command := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest signed checkpoint of the log, to be kept elsewhere",
		Long: `Print the newest signed checkpoint of the log: a note of the log's name, how many events it covers and the root of their Merkle tree, signed
by the auditor (C2SP tlog-checkpoint). Keep it where whoever can change the log cannot. While the auditor finds that the log is not what
was signed, the exit code is 1.`,
		Example: "  rutter audit checkpoint > checkpoint-$(date +%F).txt",
		Args:    args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(format, formatTable, formatJSON, formatYAML); err != nil {
				return err
			}
			verifier, err := c.auditKey(key)
			if err != nil {
				return err
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			checkpoint, err := gateway.Checkpoint(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := c.openCheckpoint([]byte(checkpoint.Note), verifier); err != nil {
				return err
			}
			if format == formatTable {
				fmt.Fprint(c.out, checkpoint.Note)
			} else if err := c.printDocument(checkpoint, format); err != nil {
				return err
			}
			if checkpoint.Alarm != "" {
				return fmt.Errorf("ALARM of the auditor, which signs nothing newer: %s", checkpoint.Alarm)
			}
			return nil
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatTable, "table (the note itself), json or yaml")
	keyFlag(command, &key)
	return command
}

func newProveCommand(c *cli) *cobra.Command {
	var key string
	command := &cobra.Command{
		Use:     "prove SEQUENCE|EVENT-ID",
		Short:   "Prove that an event stands in the log, as JSON",
		Long:    "Print the event's canonical line, its leaf's hash, the audit path and the signed checkpoint that it leads to, after checking them. Anybody can check them again with no more than SHA-256, Ed25519 and the log's public key.",
		Example: "  rutter audit prove 42\n  rutter audit prove 1ktdmxsyb1vpf6pgyq6g7a3v5n > proof.json",
		Args:    args(1, 1, "the sequence or the id of an event"),
		RunE: func(cmd *cobra.Command, args []string) error {
			verifier, err := c.auditKey(key)
			if err != nil {
				return err
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			proof, err := gateway.Inclusion(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			checkpoint, err := c.openCheckpoint([]byte(proof.Checkpoint), verifier)
			if err != nil {
				return err
			}
			path, err := hashesOf(proof.Proof)
			if err != nil {
				return err
			}
			if err := audit.CheckInclusion(checkpoint, proof.Sequence, tlog.RecordHash([]byte(proof.Line)), path); err != nil {
				return fmt.Errorf("the gateway's proof does not hold: %w", err)
			}
			return c.printDocument(proof, formatJSON)
		},
	}
	keyFlag(command, &key)
	return command
}

// hashesOf reads a proof.
func hashesOf(texts []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		h, err := tlog.ParseHash(text)
		if err != nil {
			return nil, fmt.Errorf("hash %d of the proof: %w", i, err)
		}
		hashes[i] = h
	}
	return hashes, nil
}

func newConsistencyCommand(c *cli) *cobra.Command {
	var key, format string
	command := &cobra.Command{
		Use:   "consistency OLD [NEW]",
		Short: "Prove that the log only added to what an old checkpoint covers",
		Long: `Ask the gateway to prove that the log of NEW only adds to the log of OLD, and check the proof. Each is the file of a checkpoint that was kept, or a
number of events; NEW is the newest checkpoint where it is left out. Where the log was rewritten since, no proof holds, and the exit code is 1.`,
		Example: "  rutter audit consistency checkpoint-2026-11-01.txt\n  rutter audit consistency 100 200 -o json",
		Args:    args(1, 2, "an old checkpoint or size, and if wanted a newer one"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(format, formatTable, formatJSON, formatYAML); err != nil {
				return err
			}
			verifier, err := c.auditKey(key)
			if err != nil {
				return err
			}
			return c.consistency(cmd.Context(), args, verifier, format)
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatTable, "table, json or yaml")
	keyFlag(command, &key)
	return command
}

// treeHead is a checkpoint that was kept, or only a number of events.
type treeHead struct {
	size uint64
	kept *audit.Checkpoint
}

func (c *cli) treeHead(text string, key note.Verifier) (treeHead, error) {
	if size, err := strconv.ParseUint(text, 10, 64); err == nil {
		return treeHead{size: size}, nil
	}
	signed, err := os.ReadFile(text)
	if errors.Is(err, fs.ErrNotExist) {
		return treeHead{}, usagef("%q is neither a number of events nor the file of a checkpoint", text)
	}
	if err != nil {
		return treeHead{}, err
	}
	kept, err := c.openCheckpoint(signed, key)
	if err != nil {
		return treeHead{}, fmt.Errorf("%s: %w", text, err)
	}
	return treeHead{uint64(kept.Size), &kept}, nil
}

func (c *cli) consistency(ctx context.Context, args []string, key note.Verifier, format string) error {
	older, err := c.treeHead(args[0], key)
	if err != nil {
		return err
	}
	var later treeHead
	if len(args) > 1 {
		if later, err = c.treeHead(args[1], key); err != nil {
			return err
		}
	}
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	proof, err := gateway.Consistency(ctx, older.size, later.size)
	if err != nil {
		return err
	}
	if err := c.checkConsistency(proof, older, later, key); err != nil {
		return err
	}
	if format != formatTable {
		return c.printDocument(proof, format)
	}
	fmt.Fprintf(c.out, "consistent: the %d events of the older log are the first of the newer log's %d\n", proof.Old, proof.New)
	return nil
}

// checkConsistency checks a proof against what was kept, and against the newest checkpoint where that is what it leads to.
func (c *cli) checkConsistency(proof api.ConsistencyProof, older, later treeHead, key note.Verifier) error {
	newest, err := c.openCheckpoint([]byte(proof.Checkpoint), key)
	if err != nil {
		return err
	}
	path, err := hashesOf(proof.Proof)
	if err != nil {
		return err
	}
	roots, err := hashesOf([]string{proof.OldRoot, proof.NewRoot})
	if err != nil {
		return err
	}
	from := audit.Checkpoint{Origin: newest.Origin, Size: int64(proof.Old), Root: roots[0]}
	to := audit.Checkpoint{Origin: newest.Origin, Size: int64(proof.New), Root: roots[1]}
	for _, pair := range []struct {
		said audit.Checkpoint
		kept *audit.Checkpoint
	}{{from, older.kept}, {to, later.kept}, {to, &newest}} {
		if pair.kept != nil && pair.kept.Origin != newest.Origin {
			return fmt.Errorf("the kept checkpoint is of %s and this log is %s", pair.kept.Origin, newest.Origin)
		}
		if pair.kept != nil && pair.kept.Size == pair.said.Size && pair.kept.Root != pair.said.Root {
			return fmt.Errorf("NOT consistent: the checkpoint of %d events has the root %s, and the log now gives %s: it was rewritten", pair.kept.Size, pair.kept.Root, pair.said.Root)
		}
	}
	if err := audit.CheckConsistency(from, to, path); err != nil {
		return fmt.Errorf("NOT consistent: the gateway's proof does not hold: %w", err)
	}
	return nil
}

func newVerifyCommand(c *cli) *cobra.Command {
	var key, checkpoint string
	command := &cobra.Command{
		Use:   "verify FILE|DIR",
		Short: "Check an export offline: nothing changed, dropped, slipped in, moved or cut off",
		Long: `Read an export and check every event against its seal, and the whole against signed checkpoints: the export's own, whose signature needs the
log's public key (--key), and one that was kept elsewhere (--checkpoint), which also shows a cut tail. It needs no gateway. The first bad
event is named by its sequence, and the exit code is 1. Of a directory of segments (` + "`rutter export --segments`" + `) each is checked, and that they are one log.`,
		Example: "  rutter audit verify november.rutter --key auditor.vkey --checkpoint checkpoint-2026-11-30.txt",
		Args:    args(1, 1, "the file of an export, or a directory of segments"),
		RunE: func(_ *cobra.Command, args []string) error {
			verifier, err := c.auditKey(key)
			if err != nil {
				return err
			}
			options := archive.Options{Key: verifier}
			if checkpoint != "" {
				head, err := c.treeHead(checkpoint, verifier)
				if err != nil {
					return err
				}
				if head.kept == nil {
					return usagef("checkpoint: want the file of one that `rutter audit checkpoint` printed, not a number")
				}
				options.Kept = head.kept
			}
			report, err := c.verifyExport(args[0], options)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintf(c.out, "events 1 to %d give the root %s\n", report.Header.Last, base64.StdEncoding.EncodeToString(report.Root[:]))
			fmt.Fprintln(c.out, vouched(report, options))
			return nil
		},
	}
	command.Flags().StringVar(&checkpoint, "checkpoint", "", "file of a checkpoint that was kept elsewhere")
	keyFlag(command, &key)
	return command
}

// verifyExport verifies a file, or a directory of segments, and tells how far it is.
func (c *cli) verifyExport(path string, options archive.Options) (archive.Report, error) {
	show := c.newProgress()
	defer show.end()
	options.Progress = show.share("verifying")
	return archive.VerifyPath(path, options)
}

// share tells a share of events in steps of a twentieth.
func (p *progress) share(doing string) func(sequence, last uint64) {
	told := uint64(0)
	return func(sequence, last uint64) {
		if step := max(leastStep, last/20); sequence/step > told {
			told = sequence / step
			p.tell(fmt.Sprintf("%s: %d of %d events (%d %%)", doing, sequence, last, 100*sequence/last))
		}
	}
}

// vouched says what is known of an export that is whole.
func vouched(report archive.Report, o archive.Options) string {
	h := report.Header
	switch {
	case h.Events() == 0:
		return "verified: the export is whole, and holds no event"
	case report.Proven >= h.Last:
		return fmt.Sprintf("verified: events %d to %d are what was signed", h.First, h.Last)
	case report.Proven > 0:
		return fmt.Sprintf("verified: events %d to %d are what was signed; %d to %d are newer than the checkpoint: whole, but not vouched for yet", h.First, report.Proven, report.Proven+1, h.Last)
	case report.Claimed != nil && o.Key == nil:
		return "the export is whole, and fits the checkpoint in it; whether that one is true only the log's public key tells (--key), or a checkpoint kept elsewhere (--checkpoint)"
	}
	return "the export is whole, but has no checkpoint: nobody vouches for it"
}
