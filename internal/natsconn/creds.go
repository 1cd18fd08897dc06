package natsconn

import (
	"fmt"
	"os"
	"sync"

	"github.com/nats-io/jwt/v2"
)

// creds are a user's credentials. Those of a file are read again at every connection, so that they can be renewed beneath one that stands.
type creds struct {
	file string
	user string // whose inbox the holder has

	mu   sync.Mutex
	held []byte
}

// creds is nil where none are given.
func (c Config) creds() (*creds, error) {
	held := &creds{file: c.Creds, held: []byte(c.Token)}
	if c.Creds == "" && c.Token == "" {
		return nil, nil
	}
	token, err := held.token()
	if err != nil {
		return nil, err
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	held.user = userName(claims)
	if _, err := held.sign(nil); err != nil {
		return nil, err
	}
	return held, nil
}

// token is the user's JWT as it is now.
func (c *creds) token() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != "" {
		data, err := os.ReadFile(c.file)
		if err != nil {
			return "", fmt.Errorf("credentials: %w", err)
		}
		c.held = data
	}
	token, err := jwt.ParseDecoratedJWT(c.held)
	if err != nil {
		return "", fmt.Errorf("credentials: %w", err)
	}
	return token, nil
}

// sign answers the server's challenge with the user's key.
func (c *creds) sign(nonce []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, err := jwt.ParseDecoratedUserNKey(c.held)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	defer key.Wipe()
	return key.Sign(nonce)
}

// userName is whose inbox the holder of a JWT has.
func userName(claims *jwt.UserClaims) string {
	if claims.Tags.Contains(NodeTag) {
		return NodeUser(claims.Name)
	}
	return claims.Name
}
