// Package auth holds the keys of a deployment and says who may do what on its NATS servers.
//
// It is NATS's decentralised scheme: an operator key signs accounts, the account RUTTER signs users, and a user's JWT carries
// its permissions. A server needs only the operator's public side ([Trust]); whoever holds the account's key can admit users.
package auth

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// Trust is the public side of a deployment's keys: what a server needs to check credentials.
type Trust struct {
	Operator string            // the operator's JWT
	System   string            // public key of the system account
	Accounts map[string]string // account JWTs by public key
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
