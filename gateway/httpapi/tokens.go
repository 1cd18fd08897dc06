package httpapi

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/rutter-run/rutter/events/spec"
)

// Role says what a token may do; each may do all that the one before may.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // look
	RoleOperator Role = "operator" // change workloads, run commands in containers
	RoleAdmin    Role = "admin"    // everything
)

// roleOrder is from least to most.
var roleOrder = []Role{RoleViewer, RoleOperator, RoleAdmin}

// Allows reports whether the role includes another.
func (r Role) Allows(needed Role) bool {
	return slices.Contains(roleOrder, r) && slices.Index(roleOrder, r) >= slices.Index(roleOrder, needed)
}

// Token is an entry of the tokens file. The token itself is in nobody's file but its owner's.
type Token struct {
	Name   string `json:"name"`
	Role   Role   `json:"role"`
	SHA256 string `json:"sha256"` // of the token, in hex
}

// Tokens is who may do what.
type Tokens struct{ entries []Token }

// tokensFile is the file: {"tokens": [{"name": "ada", "role": "admin", "sha256": "…"}]}, in JSON or YAML.
type tokensFile struct {
	Tokens []Token `json:"tokens"`
}

// tokenPrefix makes a token known for what it is, to people and to scanners of leaked secrets.
const tokenPrefix = "rutter_"

// NewToken draws a token: the secret for its owner and the entry for the tokens file.
func NewToken(name string, role Role) (secret string, entry Token) {
	secret = tokenPrefix + rand.Text() + rand.Text()
	return secret, Token{Name: name, Role: role, SHA256: hashToken(secret)}
}

// A token has over 128 bits of randomness: a plain hash cannot be guessed backwards, and needs no salt or stretching.
func hashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// NewTokens checks the entries.
func NewTokens(entries ...Token) (*Tokens, error) {
	var faults spec.Errors
	names := map[string]bool{}
	for i, e := range entries {
		at := fmt.Sprintf("tokens[%d]", i)
		faults = append(faults, spec.ValidateName(at+".name", e.Name)...)
		if names[e.Name] {
			faults = append(faults, spec.FieldError{Field: at + ".name", Value: e.Name, Want: "each name once"})
		}
		names[e.Name] = true
		if !slices.Contains(roleOrder, e.Role) {
			faults = append(faults, spec.FieldError{Field: at + ".role", Value: string(e.Role), Want: "viewer, operator or admin"})
		}
		if sum, err := hex.DecodeString(e.SHA256); err != nil || len(sum) != sha256.Size {
			faults = append(faults, spec.FieldError{Field: at + ".sha256", Want: "the SHA-256 of the token in 64 hex digits"})
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return &Tokens{entries: entries}, nil
}

// LoadTokens reads a tokens file.
func LoadTokens(path string) (*Tokens, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokens file: %w", err)
	}
	var file tokensFile
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, fmt.Errorf("tokens file %s: %w", path, err)
	}
	tokens, err := NewTokens(file.Tokens...)
	if err != nil {
		return nil, fmt.Errorf("tokens file %s: %w", path, err)
	}
	return tokens, nil
}

// SaveTokens writes a tokens file that only its owner can read.
func SaveTokens(path string, entries ...Token) error {
	if _, err := NewTokens(entries...); err != nil {
		return err
	}
	data, err := yaml.Marshal(tokensFile{Tokens: entries})
	if err != nil {
		return fmt.Errorf("tokens file: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("tokens file: %w", err)
	}
	return nil
}

var errUnknownToken = errors.New("unknown token")

// find is the entry of a secret. Every entry is compared, each in constant time, so that the answer's time tells nothing.
func (t *Tokens) find(secret string) (Token, error) {
	sum := []byte(hashToken(secret))
	var found *Token
	for i := range t.entries {
		if subtle.ConstantTimeCompare(bytes.ToLower([]byte(t.entries[i].SHA256)), sum) == 1 {
			found = &t.entries[i]
		}
	}
	if found == nil {
		return Token{}, errUnknownToken
	}
	return *found, nil
}
