package auth

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/natsconn"
)

// SubscriberUser is the name of a subscriber's user, which no service and no node has.
func SubscriberUser(name string) string { return "subscriber_" + name }

// SubscriberPermissions is what a program outside Rutter may do that follows the log: read the events whose subjects the patterns cover (all where there
// are none), live and past, and keep its own position. It is allowed to write nothing else, but speaks to JetStream, which answers wherever it
// is told with the server's own right: these credentials are for programs that are trusted, [ListenerPermissions] for others.
func SubscriberPermissions(name string, patterns ...string) Permissions {
	user := SubscriberUser(name)
	key := "$KV.SUBSCRIBERS." + name
	p := Permissions{
		Publish: []string{
			"$JS.API.STREAM.INFO.EVENTS", "$JS.FC.EVENTS.>",
			// For clients whose consumers are pulled from; consumers have names that cannot be guessed, and nobody may list them.
			"$JS.API.CONSUMER.MSG.NEXT.EVENTS.*", "$JS.API.CONSUMER.INFO.EVENTS.*", "$JS.API.CONSUMER.DELETE.EVENTS.*",
			key, "$JS.API.DIRECT.GET.KV_SUBSCRIBERS." + key,
		},
		Subscribe: []string{natsconn.InboxPrefix(user) + ".>"},
	}
	if len(patterns) == 0 {
		return p.and(Permissions{
			Publish:   []string{"$JS.API.CONSUMER.CREATE.EVENTS.>", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS.>"},
			Subscribe: []string{events.EventPrefix + ">", events.LivePrefix + events.EventPrefix + ">"},
		})
	}
	for _, pattern := range patterns {
		// The server holds a consumer to the one filter that stands in the subject, and a direct get to the subject that stands there.
		p.Publish = append(p.Publish, "$JS.API.CONSUMER.CREATE.EVENTS.*."+pattern, "$JS.API.DIRECT.GET.EVENTS."+pattern)
		p.Subscribe = append(p.Subscribe, pattern, events.LivePrefix+pattern)
	}
	return p
}

// ListenerPermissions is what a program outside Rutter may do that hears new events and nothing else. It can say nothing to anybody, JetStream
// included, so that nothing can be made of its credentials but to listen.
func ListenerPermissions(name string, patterns ...string) Permissions {
	p := Permissions{Subscribe: []string{natsconn.InboxPrefix(SubscriberUser(name)) + ".>"}}
	if len(patterns) == 0 {
		patterns = []string{events.EventPrefix + ">"}
	}
	for _, pattern := range patterns {
		p.Subscribe = append(p.Subscribe, events.LivePrefix+pattern)
	}
	return p
}

// NewSubscriber makes credentials of a program outside Rutter; they expire after ttl (0: never). See [SubscriberPermissions].
func (d *Deployment) NewSubscriber(name string, ttl time.Duration, patterns ...string) (string, error) {
	return d.outsider(name, ttl, SubscriberPermissions, patterns)
}

// NewListener makes credentials of a program that is not to be trusted with more than listening. See [ListenerPermissions].
func (d *Deployment) NewListener(name string, ttl time.Duration, patterns ...string) (string, error) {
	return d.outsider(name, ttl, ListenerPermissions, patterns)
}

func (d *Deployment) outsider(name string, ttl time.Duration, permissions func(string, ...string) Permissions, patterns []string) (string, error) {
	if err := spec.ValidateName("name", name).Err(); err != nil {
		return "", fmt.Errorf("subscriber: %w: %w", events.ErrInvalid, err)
	}
	for _, pattern := range patterns {
		if err := validPattern(pattern); err != nil {
			return "", fmt.Errorf("subscriber: %w", err)
		}
	}
	account, err := readKey(filepath.Join(d.dir, accountSeed))
	if err != nil {
		return "", fmt.Errorf("subscriber: %w", err)
	}
	return userCreds(account, func(key string) *jwt.UserClaims {
		claims := jwt.NewUserClaims(key)
		claims.Permissions = permissions(name, patterns...).claims()
		if ttl > 0 {
			claims.Expires = time.Now().Add(ttl).Unix()
		}
		return claims
	}, SubscriberUser(name))
}

var errPattern = errors.New("want a subject below evt. such as evt.node.* or evt.workload.default.>")

// validPattern reports whether a pattern is one of event subjects.
func validPattern(pattern string) error {
	rest, ok := strings.CutPrefix(pattern, events.EventPrefix)
	for word := range strings.SplitSeq(rest, ".") {
		wild := strings.ContainsAny(word, "*>")
		if word == "" || strings.ContainsAny(word, " \t\r\n\"") || wild && word != "*" && (word != ">" || !strings.HasSuffix(pattern, ".>")) {
			ok = false
		}
	}
	if !ok || strings.Count(pattern, ">") > 1 {
		return fmt.Errorf("%q: %w: %w", pattern, events.ErrInvalid, errPattern)
	}
	return nil
}

// OpenDeployment is the deployment whose keys are in dir.
func OpenDeployment(dir string) *Deployment { return &Deployment{dir: dir} }
