package events

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
)

// DeriveID derives the id of a consequence from the id of its cause, what it is about and its place among the consequences.
// The same decision taken twice, after a redelivery, a restart or by two leaders, derives the same id and collides in the
// log's expectation instead of happening twice. 26 characters, lower case, 130 bits.
func DeriveID(cause string, about Subject, ordinal int) string {
	h := sha256.New()
	h.Write([]byte(cause))
	h.Write([]byte{0})
	h.Write([]byte(about))
	h.Write([]byte{0})
	h.Write([]byte(strconv.Itoa(ordinal)))
	return idEncoding.EncodeToString(h.Sum(nil))[:26]
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
