package auth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/rutter-run/rutter/events"
)

// tokenPrefix heads a join token, so that people and secret scanners know one when they see it.
const tokenPrefix = "rutterjoin1."

// newJoinToken makes credentials that can ask for admission, in one string for copying.
func newJoinToken(account nkeys.KeyPair, ttl time.Duration) (string, error) {
	permissions, err := ServicePermissions(userJoin)
	if err != nil {
		return "", err
	}
	creds, err := userCreds(account, func(key string) *jwt.UserClaims {
		claims := jwt.NewUserClaims(key)
		claims.Permissions = permissions.claims()
		if ttl > 0 {
			claims.Expires = time.Now().Add(ttl).Unix()
		}
		return claims
	}, userJoin)
	if err != nil {
		return "", err
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(creds)), nil
}

// CredsOfToken takes the credentials out of a join token and refuses one that has expired.
func CredsOfToken(token string) (string, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(token), tokenPrefix)
	if !ok {
		return "", fmt.Errorf("join token: want one that begins with %s: %w", tokenPrefix, events.ErrInvalid)
	}
	creds, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("join token was not copied whole (%w): %w", err, events.ErrInvalid)
	}
	text, err := jwt.ParseDecoratedJWT(creds)
	if err != nil {
		return "", fmt.Errorf("join token was not copied whole (%w): %w", err, events.ErrInvalid)
	}
	claims, err := jwt.DecodeUserClaims(text)
	if err != nil {
		return "", fmt.Errorf("join token was not copied whole (%w): %w", err, events.ErrInvalid)
	}
	if claims.Expires > 0 && time.Now().Unix() >= claims.Expires {
		return "", fmt.Errorf("join token expired at %s, ask for a new one: %w", time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339), events.ErrDenied)
	}
	return string(creds), nil
}
