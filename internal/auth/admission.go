package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/natsconn"
)

// Admission makes the credentials of nodes.
type Admission struct {
	nodes   nkeys.KeyPair
	account string // public key
	ttl     time.Duration
}

// NodeTTL is how long a node's credentials are good. The agent renews them through the door long before, so that they run out only where
// a node was away for longer, or its name went to another key; it then has to join again.
const NodeTTL = 7 * 24 * time.Hour

// LoadAdmission reads the key that signs nodes (nodes.nk) and takes the account from the deployment's public side.
func LoadAdmission(nodesKey string, trust *Trust) (*Admission, error) {
	nodes, err := readKey(nodesKey)
	if err != nil {
		return nil, fmt.Errorf("key that admits nodes: %w", err)
	}
	for key := range trust.Accounts {
		if key != trust.System {
			return &Admission{nodes: nodes, account: key, ttl: NodeTTL}, nil
		}
	}
	return nil, errors.New("key that admits nodes: the trust has no account " + AccountName)
}

// For makes admissions that are good for another time.
func (a *Admission) For(ttl time.Duration) *Admission {
	return &Admission{nodes: a.nodes, account: a.account, ttl: ttl}
}

// Admit signs a node's JWT for the public key of its agent.
func (a *Admission) Admit(node, key string) (string, error) {
	if errs := spec.ValidateName("node", node); len(errs) > 0 {
		return "", errs
	}
	if !nkeys.IsValidPublicUserKey(key) {
		return "", fmt.Errorf("key %q is not the public nkey of a user", key)
	}
	return nodeClaims(a.nodes, a.account, node, key, time.Now().Add(a.ttl))
}

// joinRequest and joinAnswer are what Join and JoinServer say to each other.
type joinRequest struct {
	Key string `json:"key"` // the agent's public nkey
}

type joinAnswer struct {
	JWT   string `json:"jwt,omitempty"`
	Taken bool   `json:"taken,omitempty"` // the name belongs to another key
	Error string `json:"error,omitempty"`
}

// JoinServer answers requests to join; node-health runs one.
type JoinServer struct {
	admission *Admission
	owner     OwnerFunc
	log       logrus.FieldLogger

	mu      sync.Mutex
	granted map[string]grant // names admitted by this process, which need not have joined yet
}

// OwnerFunc says which key a name belongs to by the log, and the sequence at which the log last said anything of it: no key where it
// belongs to nobody, because nobody has joined under it or who had has left.
type OwnerFunc func(node string) (key string, sequence uint64)

// grant is an admission that the log does not show yet.
type grant struct {
	key   string
	after uint64 // sequence of the last that the log had said of the name
}

// NewJoinServer makes a server. A name that belongs to nobody goes to the first key that asks. owner is called from another goroutine.
func NewJoinServer(admission *Admission, owner OwnerFunc, log logrus.FieldLogger) *JoinServer {
	return &JoinServer{admission: admission, owner: owner, log: log, granted: map[string]grant{}}
}

// joinQueue shares requests between the instances of node-health.
const joinQueue = "node-health"

// Run answers on the connection until ctx is done.
func (s *JoinServer) Run(ctx context.Context, nc *nats.Conn) error {
	sub, err := nc.QueueSubscribe(joinSubject("*"), joinQueue, func(msg *nats.Msg) {
		// The right to answer is the right to publish wherever a request points: answer nowhere else than in the joiners' inbox.
		if !strings.HasPrefix(msg.Reply, natsconn.InboxPrefix(userJoin)+".") {
			s.log.WithField("reply", msg.Reply).Warn("request to join with a strange reply subject")
			return
		}
		node := strings.TrimPrefix(msg.Subject, joinSubject(""))
		data, err := json.Marshal(s.answer(node, msg.Data))
		if err == nil {
			err = msg.Respond(data)
		}
		if err != nil {
			s.log.WithError(err).WithField("node", node).Warn("request to join not answered")
		}
	})
	if err != nil {
		return fmt.Errorf("answer requests to join: %w", err)
	}
	<-ctx.Done()
	_ = sub.Unsubscribe()
	return ctx.Err()
}

// Release lets a name go to whatever key asks next, unless the log says that it has an owner.
func (s *JoinServer) Release(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.granted, node)
}

func (s *JoinServer) answer(node string, data []byte) joinAnswer {
	log := s.log.WithField("node", node)
	var request joinRequest
	if err := json.Unmarshal(data, &request); err != nil {
		return joinAnswer{Error: "malformed request"}
	}
	if owner, ok := s.claim(node, request.Key); !ok {
		log.WithFields(logrus.Fields{"owner": owner, "key": request.Key}).Warn("refused to admit: the name belongs to another key")
		return joinAnswer{Taken: true}
	}
	token, err := s.admission.Admit(node, request.Key)
	if err != nil {
		s.Release(node)
		log.WithError(err).Warn("refused to admit")
		return joinAnswer{Error: err.Error()}
	}
	log.WithField("key", request.Key).Info("admitted")
	return joinAnswer{JWT: token}
}

// claim gives the name to the key unless another has it. A grant counts until the log says something of the name: from then on it has
// joined, or has joined and left.
func (s *JoinServer) claim(node, key string) (owner string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, sequence := s.owner(node)
	if owner != "" {
		return owner, owner == key
	}
	if g, granted := s.granted[node]; granted && g.after == sequence && g.key != key {
		return g.key, false
	}
	s.granted[node] = grant{key, sequence}
	return key, true
}
