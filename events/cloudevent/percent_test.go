package cloudevent_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/cloudevent"
)

// The examples of the CloudEvents HTTP binding, section 3.1.3.2.
func TestPercent(t *testing.T) {
	for value, wire := range map[string]string{
		"Euro € 😀":      "Euro%20%E2%82%AC%20%F0%9F%98%80",
		`a "b"`:         "a%20%22b%22",
		"100%":          "100%25",
		"%41":           "%2541",
		"/rutter/admin": "/rutter/admin",
		"a\r\nb":        "a%0D%0Ab",
		"\x7f":          "%7F",
		"":              "",
	} {
		require.Equal(t, wire, cloudevent.PercentEncode(value))
		got, err := cloudevent.PercentDecode(wire)
		require.NoError(t, err)
		require.Equal(t, value, got)
	}
}

func TestPercentDecodeIsLenientInWhatIsHarmless(t *testing.T) {
	for wire, value := range map[string]string{"%e2%82%ac": "€", "€": "€", "a b": "a b", "%2541": "%41"} {
		got, err := cloudevent.PercentDecode(wire)
		require.NoError(t, err)
		require.Equal(t, value, got)
	}
}

func TestPercentDecodeRefuses(t *testing.T) {
	for _, wire := range []string{"%", "%4", "%zz", "a%F0%9F", "%C0%A0", "\xff", "%ED%A0%80"} {
		_, err := cloudevent.PercentDecode(wire)
		require.Error(t, err, wire)
	}
}

func FuzzPercent(f *testing.F) {
	f.Add("Euro € 😀")
	f.Fuzz(func(t *testing.T, value string) {
		wire := cloudevent.PercentEncode(value)
		for _, c := range []byte(wire) {
			require.True(t, c > ' ' && c <= '~' && c != '"', wire)
		}
		got, err := cloudevent.PercentDecode(wire)
		if !utf8.ValidString(value) {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, value, got)
	})
}
