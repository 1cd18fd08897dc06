package auth

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// Trust is the public side of a deployment's keys: what a server needs to check credentials.
type Trust struct {
	Operator string            // the operator's JWT
	System   string            // public key of the system account
	Accounts map[string]string // account JWTs by public key
}

// LoadTrust reads the public side out of a directory that [Init] made, or that its *.jwt files were copied to.
func LoadTrust(dir string) (*Trust, error) {
	t := &Trust{Accounts: map[string]string{}}
	operator, err := os.ReadFile(filepath.Join(dir, operatorJWT))
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	t.Operator = string(operator)
	for _, name := range []string{systemJWT, accountJWT} {
		token, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("trust: %w", err)
		}
		claims, err := jwt.DecodeAccountClaims(string(token))
		if err != nil {
			return nil, fmt.Errorf("trust: %s: %w", filepath.Join(dir, name), err)
		}
		t.Accounts[claims.Subject] = string(token)
		if name == systemJWT {
			t.System = claims.Subject
		}
	}
	return t, nil
}

// Configure makes a server trust the operator and know its accounts.
func (t *Trust) Configure(o *server.Options) error {
	operator, err := jwt.DecodeOperatorClaims(t.Operator)
	if err != nil {
		return fmt.Errorf("operator's JWT: %w", err)
	}
	resolver := &server.MemAccResolver{}
	for key, token := range t.Accounts {
		if err := resolver.Store(key, token); err != nil {
			return fmt.Errorf("account %s: %w", key, err)
		}
	}
	o.TrustedOperators = []*jwt.OperatorClaims{operator}
	o.SystemAccount = t.System
	o.AccountResolver = resolver
	return nil
}
