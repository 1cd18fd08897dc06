package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/gateway/api"
)

func alone(t *testing.T) {
	for _, name := range []string{EnvAddress, EnvToken, EnvCA, EnvConfig} {
		t.Setenv(name, "")
	}
}

func TestConfigIsFoundInItsPlaces(t *testing.T) {
	alone(t)
	path := filepath.Join(t.TempDir(), "deep", "client.json")
	_, err := FindConfig(Config{}, path)
	var none *NoServerError
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "rutter up")

	file := Config{Address: "https://gateway:7480", Token: "from-file", CA: "ca.pem"}
	require.NoError(t, file.Save(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	found, err := FindConfig(Config{}, path)
	require.NoError(t, err)
	require.Equal(t, Config{Address: "https://gateway:7480", Token: "from-file", CA: filepath.Join(filepath.Dir(path), "ca.pem")}, found)

	t.Setenv(EnvToken, "from-env")
	found, err = FindConfig(Config{}, path)
	require.NoError(t, err)
	require.Equal(t, "from-env", found.Token, "environment over file")
	found, err = FindConfig(Config{Token: "from-flag"}, path)
	require.NoError(t, err)
	require.Equal(t, "from-flag", found.Token, "flag over environment")
	t.Setenv(EnvToken, "")

	found, err = FindConfig(Config{Address: "http://elsewhere"}, path)
	require.NoError(t, err)
	require.Empty(t, found.Token, "a token is not sent to another server than its own")

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = FindConfig(Config{}, path)
	require.ErrorContains(t, err, path)
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"ftp://x", "http://", "://", "http://a b"} {
		_, err := New(Config{Address: address})
		require.ErrorContains(t, err, "want http:// or https://", address)
	}
	c, err := New(Config{Address: "127.0.0.1:7480/"})
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:7480", c.Address())
	_, err = New(Config{Address: "https://x", CA: "-----BEGIN NOTHING"})
	require.ErrorContains(t, err, "certificate")
}

func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(Config{Address: server.URL, Token: "secret"})
	require.NoError(t, err)
	return c
}

func TestARequestIsSentAgainWithTheSameKey(t *testing.T) {
	var keys []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
		if keys = append(keys, r.Header.Get("Idempotency-Key")); len(keys) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"verdict":"changed"}`)
	})
	result, err := c.Scale(t.Context(), "default", "web", 2, Options{})
	require.NoError(t, err)
	require.Equal(t, api.VerdictChanged, result.Verdict)
	require.Len(t, keys, 3)
	require.NotEmpty(t, keys[0])
	require.Equal(t, keys[0], keys[2])
}

func TestAProblemIsAnError(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"title":"not found","status":404,"detail":"there is no node n1"}`)
	})
	_, err := c.Node(t.Context(), "n1", 0)
	require.EqualError(t, err, "there is no node n1")
	require.True(t, IsNotFound(err))
	require.Equal(t, 1, calls, "a refusal is not tried again")
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "proxy says no\nmore", http.StatusBadRequest)
	})
	_, err = c.Node(t.Context(), "n1", 0)
	require.EqualError(t, err, "unexpected answer 400 Bad Request: proxy says no")
}

func event(t *testing.T, sequence uint64) string {
	e := events.Event{
		ID: fmt.Sprint("e", sequence), Type: node.ReadyV1{}.WireType(), Source: "/test", Subject: events.NodeSubject("n1"), Time: time.Unix(1, 0), Sequence: sequence, Data: node.ReadyV1{},
	}
	data, err := cloudevent.JSON(e)
	require.NoError(t, err)
	return fmt.Sprintf("id: %d\ndata: %s\n\n", sequence, data)
}

var errEnough = errors.New("enough")

func TestAStreamResumesWhereItBrokeOff(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("from")+"/"+r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1: // two events, the second cut in the middle
			third := event(t, 3)
			fmt.Fprint(w, "retry: 1000\n\n", event(t, 2), ": still here\n\n", third[:len(third)-10])
		case 2: // the gateway restarts
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprint(w, event(t, 3), "id: 9\n\n", event(t, 10))
		}
	})
	var got []uint64
	err := c.Stream(t.Context(), 2, Filter{}, func(e events.Event) error {
		if got = append(got, e.Sequence); e.Sequence == 10 {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []uint64{2, 3, 10}, got, "each once, in order")
	require.Equal(t, []string{"2/", "/2", "/2"}, asked)
}

func TestABareIDMovesThePlaceToResumeFrom(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.Header.Get("Last-Event-ID")); len(asked) == 1 {
			fmt.Fprint(w, "id: 41\n\n")
			return
		}
		fmt.Fprint(w, event(t, 42))
	})
	err := c.Stream(t.Context(), 0, Filter{}, func(events.Event) error { return errEnough })
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []string{"", "41"}, asked)
}

func TestAStreamThatIsRefusedIsAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	require.Error(t, c.Stream(t.Context(), 0, Filter{}, nil))
	gone, err := New(Config{Address: "http://127.0.0.1:1"})
	require.NoError(t, err)
	var away *UnreachableError
	require.ErrorAs(t, gone.Stream(t.Context(), 0, Filter{}, nil), &away)
}

func TestAwaitWakesByEventsAndEndsWhenDone(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, event(t, 5))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	var seen []uint64
	err := c.Await(t.Context(), Filter{}, func(_ context.Context, sequence uint64) (bool, error) {
		seen = append(seen, sequence)
		return sequence == 5, nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 5, seen[len(seen)-1])
}

// A token goes over a network only where nobody else can read it, and a gateway cannot lead it elsewhere.
func TestATokenIsNeverSentInTheClear(t *testing.T) {
	for _, address := range []string{"http://10.0.0.1:7480", "10.0.0.1:7480", "http://0.0.0.0:1", "http://[::]:1", "http://localhost.example.org", "http://gateway"} {
		_, err := New(Config{Address: address, Token: "x"})
		require.ErrorIs(t, err, ErrPlain, address)
		require.ErrorContains(t, err, "https://", address)
	}
	for _, address := range []string{"http://127.0.0.1:1", "http://localhost:1", "[::1]:1", "https://gateway"} {
		_, err := New(Config{Address: address})
		require.NoError(t, err, address)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1"+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := New(Config{Address: server.URL, Token: "x"})
	require.NoError(t, err)
	_, err = c.Nodes(t.Context(), Selection{})
	require.ErrorIs(t, err, ErrPlain)
}
