package gatewaytest

import (
	"context"
	"errors"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
)

// auditing is the rig's stand-in for an auditor.
type auditing struct {
	public string
	store  *audit.Store
}

// Sign signs a checkpoint of all that is in the log now, and returns the public key.
func (r *Rig) Sign() string {
	r.t.Helper()
	ctx := context.Background()
	if r.audit == nil {
		skey, vkey, err := audit.NewKey()
		require.NoError(r.t, err)
		signer, err := note.NewSigner(skey)
		require.NoError(r.t, err)
		verifier, err := audit.ParseVerifier(vkey)
		require.NoError(r.t, err)
		store, err := audit.OpenStore(ctx, r.Vault, signer, verifier, "rig")
		require.NoError(r.t, err)
		r.audit = &auditing{public: vkey, store: store}
	}
	last, err := r.Log.Last(ctx)
	require.NoError(r.t, err)
	if next := uint64(r.audit.store.Tree.Size()) + 1; next <= last {
		err = r.Log.Records(ctx, next, func(record events.Record, _ uint64) error {
			r.audit.store.Tree.Append(audit.Leaf(record))
			if record.Sequence == last {
				return errSigned
			}
			return nil
		})
		require.ErrorIs(r.t, err, errSigned)
	}
	require.NoError(r.t, r.audit.store.Sign(ctx))
	return r.audit.public
}

var errSigned = errors.New("signed")
