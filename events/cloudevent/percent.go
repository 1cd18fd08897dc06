package cloudevent

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// errValue is a header value that no CloudEvents sender may write.
var errValue = errors.New("a header value is not percent-encoded UTF-8")

const upperHex = "0123456789ABCDEF"

// PercentEncode writes a value as the CloudEvents HTTP and NATS bindings want it in a header: space, '"', '%' and all
// outside U+0021–U+007E become the percent-encoded bytes of their UTF-8.
func PercentEncode(value string) string {
	n := 0
	for i := range len(value) {
		if mustEncode(value[i]) {
			n++
		}
	}
	if n == 0 {
		return value
	}
	var b strings.Builder
	b.Grow(len(value) + 2*n)
	for i := range len(value) {
		if c := value[i]; mustEncode(c) {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEncode(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }

// PercentDecode reads such a value, once. It fails on a broken escape and on what is not UTF-8.
func PercentDecode(value string) (string, error) {
	plain := true
	for i := range len(value) {
		if c := value[i]; c == '%' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return value, nil
	}
	var b strings.Builder
	b.Grow(len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(value) {
			return "", errValue
		}
		high, ok1 := unhex(value[i+1])
		low, ok2 := unhex(value[i+2])
		if !ok1 || !ok2 {
			return "", errValue
		}
		b.WriteByte(high<<4 | low)
		i += 2
	}
	if !utf8.ValidString(b.String()) {
		return "", errValue
	}
	return b.String(), nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
