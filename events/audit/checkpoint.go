package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
)

// Checkpoint is what a signed note says of the tree.
type Checkpoint struct {
	Origin string // names the log for ever, and the key that signs it
	Size   int64
	Root   tlog.Hash
}

// Text is the body of the note, as C2SP tlog-checkpoint has it.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign makes the note.
func (c Checkpoint) Sign(signer note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint %d: %w", c.Size, err)
	}
	return signed, nil
}

// Open reads a note and checks its signature by the log's own key.
func Open(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: signature: %w", events.ErrInvalid, err)
	}
	c, err := parse(n.Text)
	if err == nil && c.Origin != verifier.Name() {
		err = fmt.Errorf("checkpoint is of %q and the key of %q: %w", c.Origin, verifier.Name(), events.ErrInvalid)
	}
	return c, err
}

// Read reads a note without checking who signed it.
func Read(signed []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return Checkpoint{}, fmt.Errorf("checkpoint: want a signed note: text, an empty line, signatures: %w", events.ErrInvalid)
	}
	return parse(text + "\n")
}

func parse(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return c, fmt.Errorf("checkpoint: want origin, size and root on three lines: %w", events.ErrInvalid)
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return c, fmt.Errorf("checkpoint: size %q is no decimal number: %w", lines[1], events.ErrInvalid)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return c, fmt.Errorf("checkpoint: root %q is no SHA-256 in base64: %w", lines[2], events.ErrInvalid)
	}
	c.Root = tlog.Hash(root)
	return c, nil
}

// originPrefix heads the names of logs, which nobody else gives out.
const originPrefix = "rutter.run/log/"

// NewKey draws a log's key: the signer's text is a secret, the verifier's is for everybody. The name of both is the log's origin.
func NewKey() (signer, verifier string, err error) {
	signer, verifier, err = note.GenerateKey(rand.Reader, originPrefix+strings.ToLower(rand.Text()[:16]))
	if err != nil {
		return "", "", fmt.Errorf("make the auditor's key: %w", err)
	}
	return signer, verifier, nil
}

// PublicKey is the verifier's text that belongs to a signer's.
func PublicKey(signer string) (string, error) {
	parts := strings.SplitN(strings.TrimSpace(signer), "+", 5) // PRIVATE+KEY+<name>+<hash>+<base64 of algorithm and seed>
	if _, err := note.NewSigner(strings.TrimSpace(signer)); err != nil || len(parts) != 5 {
		return "", fmt.Errorf("the auditor's key: want PRIVATE+KEY+<name>+<hash>+<key>: %w", events.ErrInvalid)
	}
	secret, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(secret) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("the auditor's key: want an Ed25519 key: %w", events.ErrInvalid)
	}
	public := ed25519.NewKeyFromSeed(secret[1:]).Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(parts[2], public)
	if err != nil {
		return "", fmt.Errorf("the auditor's key: %w", err)
	}
	return verifier, nil
}

// LoadKey reads the file of a signing key, and gives with it the verifier that belongs to it.
func LoadKey(file string) (note.Signer, note.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("the auditor's key: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, nil, fmt.Errorf("the auditor's key %s: %w", file, err)
	}
	public, err := PublicKey(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	verifier, err := ParseVerifier(public)
	return signer, verifier, err
}

// ParseVerifier reads a public key: the text itself.
func ParseVerifier(text string) (note.Verifier, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("public key: want <name>+<hash>+<key>, such as the auditor.vkey that `rutter init` makes: %w: %w", events.ErrInvalid, err)
	}
	return verifier, nil
}
