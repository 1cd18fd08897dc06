package auth

import (
	"reflect"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/rutter-run/rutter/internal/natsconn"
)

func operatorClaims(operator, system nkeys.KeyPair) (string, error) {
	key, err := operator.PublicKey()
	if err != nil {
		return "", err
	}
	systemKey, err := system.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewOperatorClaims(key)
	claims.Name = "rutter"
	claims.SystemAccount = systemKey
	return claims.Encode(operator)
}

func systemClaims(operator, system nkeys.KeyPair) (string, error) {
	key, err := system.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewAccountClaims(key)
	claims.Name = "SYS"
	return claims.Encode(operator)
}

// accountClaims is the account RUTTER: JetStream without limits of its own, and the signing key of nodes with what nodes may do.
func accountClaims(operator, account, nodes nkeys.KeyPair) (string, error) {
	key, err := account.PublicKey()
	if err != nil {
		return "", err
	}
	nodesKey, err := nodes.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewAccountClaims(key)
	claims.Name = AccountName
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit, MaxAckPending: jwt.NoLimit,
		MemoryMaxStreamBytes: jwt.NoLimit, DiskMaxStreamBytes: jwt.NoLimit,
	}
	scope := jwt.NewUserScope()
	scope.Key, scope.Role, scope.Description = nodesKey, "node", "the agent of one node"
	scope.Template.Permissions = NodePermissions("{{name()}}", "{{subject()}}").claims()
	claims.SigningKeys.AddScopedSigner(scope)
	return claims.Encode(operator)
}

// sameAccount reports whether an account's JWT says what another says, whenever each was issued.
func sameAccount(a, b string) bool {
	one, errOne := jwt.DecodeAccountClaims(a)
	other, errOther := jwt.DecodeAccountClaims(b)
	if errOne != nil || errOther != nil {
		return false
	}
	one.ClaimsData, other.ClaimsData = jwt.ClaimsData{Subject: one.Subject}, jwt.ClaimsData{Subject: other.Subject}
	return reflect.DeepEqual(one, other)
}

// samePermissions reports whether credentials say what others say of the same user.
func samePermissions(a, b string) bool {
	var all [2]jwt.Permissions
	for i, creds := range []string{a, b} {
		token, err := jwt.ParseDecoratedJWT([]byte(creds))
		if err != nil {
			return false
		}
		claims, err := jwt.DecodeUserClaims(token)
		if err != nil {
			return false
		}
		all[i] = claims.Permissions
	}
	return reflect.DeepEqual(all[0], all[1])
}

// claims is the permissions as NATS writes them.
func (p Permissions) claims() jwt.Permissions {
	out := jwt.Permissions{}
	out.Pub.Allow.Add(p.Publish...)
	out.Sub.Allow.Add(p.Subscribe...)
	if len(p.Publish) == 0 {
		out.Pub.Deny.Add(">") // where nothing is allowed by name NATS allows everything
	}
	return out
}

func serviceCreds(account nkeys.KeyPair, user string) (string, error) {
	permissions, err := ServicePermissions(user)
	if err != nil {
		return "", err
	}
	return userCreds(account, func(key string) *jwt.UserClaims {
		claims := jwt.NewUserClaims(key)
		claims.Permissions = permissions.claims()
		return claims
	}, user)
}

// userCreds draws a user's key and signs its claims with the account's.
func userCreds(account nkeys.KeyPair, claimsOf func(key string) *jwt.UserClaims, name string) (string, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	key, err := user.PublicKey()
	if err != nil {
		return "", err
	}
	claims := claimsOf(key)
	claims.Name = name
	token, err := claims.Encode(account)
	if err != nil {
		return "", err
	}
	seed, err := user.Seed()
	if err != nil {
		return "", err
	}
	creds, err := jwt.FormatUserConfig(token, seed)
	return string(creds), err
}

// nodeClaims is a node's JWT: a name and a key, good until it expires. What it may do stands in the account.
func nodeClaims(nodes nkeys.KeyPair, account, node, key string, expires time.Time) (string, error) {
	claims := jwt.NewUserClaims(key)
	claims.Name = node
	claims.IssuerAccount = account
	claims.Tags.Add(natsconn.NodeTag)
	claims.Expires = expires.Unix()
	claims.SetScoped(true)
	return claims.Encode(nodes)
}
