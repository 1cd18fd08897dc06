package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
)

// Vault implements [events.Vault] on the key-value bucket AUDIT.
type Vault struct{ client *Client }

var _ events.Vault = (*Vault)(nil)

// Vault keeps what the auditor makes.
func (c *Client) Vault() *Vault { return &Vault{client: c} }

// Get implements events.Vault. Any replica may answer, also one that is a moment behind: whoever writes by what it says then gets a conflict.
func (v *Vault) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	msg, err := v.client.lastMessage(ctx, vaultStream, vaultPrefix+key)
	if err != nil {
		return nil, 0, fmt.Errorf("value of %s: %w", key, err)
	}
	return msg.data, msg.sequence, nil
}

// Put implements events.Vault.
func (v *Vault) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	header := nats.Header{js.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}}
	answer, err := v.client.request(ctx, &nats.Msg{Subject: vaultPrefix + key, Header: header, Data: value})
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	var ack pubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("put %s: answer is not an acknowledgement (%w): %w", key, err, events.ErrUnknown)
	}
	if ack.Error != nil {
		return 0, fmt.Errorf("put %s: %w", key, ack.Error)
	}
	return ack.Sequence, nil
}
