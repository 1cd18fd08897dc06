package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/rutter-run/rutter/events/audit"
)

// The files of a deployment's directory. What ends in .jwt or .vkey is public; the rest is secret.
const (
	operatorJWT  = "operator.jwt"
	systemJWT    = "system.jwt"
	accountJWT   = "rutter.jwt"
	operatorSeed = "operator.nk"
	systemSeed   = "system.nk"
	accountSeed  = "rutter.nk"
	nodesSeed    = "nodes.nk" // can sign nodes and nothing else
	joinToken    = "join.token"
	auditorKey   = "auditor.key"  // signs checkpoints of the log
	auditorVKey  = "auditor.vkey" // checks them, anywhere
	systemUser   = "sys"
)

// AccountName is the account that all of Rutter lives in.
const AccountName = "RUTTER"

// Deployment is a directory with the keys and credentials of one deployment.
type Deployment struct{ dir string }

// Init makes the keys, the credentials of every service and a join token in dir (0700, each file 0600), or completes what is there. It
// never replaces a key; what an earlier version signed with other permissions than this one's is signed anew. Only whoever sets the
// deployment up needs the whole directory. A server needs its *.jwt files, a service its own <service>.creds, node-health also
// nodes.nk and door.creds, the auditor auditor.key.
func Init(dir string) (*Deployment, error) {
	d := &Deployment{dir: dir}
	if err := d.init(); err != nil {
		return nil, fmt.Errorf("make keys in %s: %w", dir, err)
	}
	return d, nil
}

func (d *Deployment) init() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(d.dir, 0o700); err != nil {
		return err
	}
	operator, err := d.key(operatorSeed, nkeys.CreateOperator)
	if err != nil {
		return err
	}
	system, err := d.key(systemSeed, nkeys.CreateAccount)
	if err != nil {
		return err
	}
	account, err := d.key(accountSeed, nkeys.CreateAccount)
	if err != nil {
		return err
	}
	nodes, err := d.key(nodesSeed, nkeys.CreateAccount)
	if err != nil {
		return err
	}
	if err := d.write(operatorJWT, func() (string, error) { return operatorClaims(operator, system) }); err != nil {
		return err
	}
	if err := d.write(systemJWT, func() (string, error) { return systemClaims(operator, system) }); err != nil {
		return err
	}
	if err := d.sign(accountJWT, sameAccount, func() (string, error) { return accountClaims(operator, account, nodes) }); err != nil {
		return err
	}
	for _, user := range Users() {
		if user == userJoin {
			continue
		}
		if err := d.sign(user+".creds", samePermissions, func() (string, error) { return serviceCreds(account, user) }); err != nil {
			return err
		}
	}
	if err := d.write(systemUser+".creds", func() (string, error) { return userCreds(system, jwt.NewUserClaims, systemUser) }); err != nil {
		return err
	}
	if err := d.auditorKeys(); err != nil {
		return err
	}
	return d.write(joinToken, func() (string, error) { return newJoinToken(account, 0) })
}

// auditorKeys makes the key that signs checkpoints of the log, and its public half.
func (d *Deployment) auditorKeys() error {
	err := d.write(auditorKey, func() (string, error) {
		signer, _, err := audit.NewKey()
		return signer + "\n", err
	})
	if err != nil {
		return err
	}
	return d.write(auditorVKey, func() (string, error) {
		signer, err := os.ReadFile(d.AuditorKey())
		if err != nil {
			return "", err
		}
		public, err := audit.PublicKey(string(signer))
		return public + "\n", err
	})
}

// AuditorKey is the file with the key that signs checkpoints of the log.
func (d *Deployment) AuditorKey() string { return AuditorKey(d.dir) }

// AuditorKey is the file with the key that signs checkpoints, in a directory that [Init] made or that it was copied to.
func AuditorKey(dir string) string { return filepath.Join(dir, auditorKey) }

// AuditorPublicKey is the file with its public half.
func AuditorPublicKey(dir string) string { return filepath.Join(dir, auditorVKey) }

// Trust is what the deployment's servers need.
func (d *Deployment) Trust() (*Trust, error) { return LoadTrust(d.dir) }

// Creds is the credentials file of a service or of [UserAdmin].
func (d *Deployment) Creds(user string) string { return filepath.Join(d.dir, user+".creds") }

// NodesKey is the file with the key that admits nodes; see [LoadAdmission].
func (d *Deployment) NodesKey() string { return filepath.Join(d.dir, nodesSeed) }

// JoinToken is the join token that [Init] made, which does not expire.
func (d *Deployment) JoinToken() (string, error) {
	token, err := os.ReadFile(filepath.Join(d.dir, joinToken))
	if err != nil {
		return "", fmt.Errorf("join token: %w", err)
	}
	return string(token), nil
}

// NewJoinToken makes another join token, which expires after ttl (0: never).
func (d *Deployment) NewJoinToken(ttl time.Duration) (string, error) {
	account, err := readKey(filepath.Join(d.dir, accountSeed))
	if err != nil {
		return "", fmt.Errorf("join token: %w", err)
	}
	return newJoinToken(account, ttl)
}

// key reads a key of the directory, and makes it where it is missing.
func (d *Deployment) key(name string, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	err := d.write(name, func() (string, error) {
		pair, err := create()
		if err != nil {
			return "", err
		}
		seed, err := pair.Seed()
		return string(seed), err
	})
	if err != nil {
		return nil, err
	}
	return readKey(filepath.Join(d.dir, name))
}

func readKey(file string) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return pair, nil
}

// write makes a file of the directory unless it is there.
func (d *Deployment) write(name string, content func() (string, error)) error {
	file := filepath.Join(d.dir, name)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := content()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return writeSecret(file, []byte(text))
}

// sign makes a file of the directory unless it is there and says the same.
func (d *Deployment) sign(name string, same func(there, wanted string) bool, content func() (string, error)) error {
	wanted, err := content()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	file := filepath.Join(d.dir, name)
	there, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case same(string(there), wanted):
		return nil
	}
	return writeSecret(file, []byte(wanted))
}

// writeSecret makes a file that only its owner reads, whole or not at all.
func writeSecret(file string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}
