package natsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/loopback"
)

// RandomPort asks the system for a free port.
const RandomPort = server.RANDOM_PORT

// Config says how the server runs. Only Dir is needed: without the rest it is one server for this machine alone.
type Config struct {
	Dir  string // where JetStream keeps its files; made where it is missing
	Name string // of this server, one of its own for each in a cluster; the host's where empty
	Host string // to listen on for clients; 127.0.0.1 where empty
	Port int    // for clients; 4222 where 0, [RandomPort] for any

	ClusterName string   // the same for all; rutter where empty
	ClusterHost string   // to listen on for the other servers; Host where empty
	ClusterPort int      // 0: no cluster
	Routes      []string // URLs of the other servers' cluster ports, such as nats://10.0.0.2:6222
	ClusterTLS  *tls.Config

	TLS  *tls.Config // for clients; needed off loopback
	Auth *auth.Trust // whom the server trusts; nil: everybody, which is for tests alone

	// MaxStore is bytes of JetStream on disk; no limit where 0. A single server stores a batch in part at this limit, where it refuses it whole at
	// the log's own: leave it alone. (nats-server's guess, where nothing is given, shrinks as the log grows.)
	MaxStore  int64
	MaxMemory int64 // bytes of JetStream in memory; nats-server's guess where 0

	LameDuck time.Duration      // how long clients are moved away at shutdown; 10 s where 0, nats-server's least
	Log      logrus.FieldLogger // logrus' standard logger where nil
}

// ErrExposed says that the address can be reached from elsewhere and nothing protects it.
var ErrExposed = errors.New("listening beyond this machine needs TLS and credentials")

// options are nats-server's own.
func (c Config) options() (*server.Options, error) {
	if c.Dir == "" {
		return nil, errors.New("no directory for the log: set Dir")
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Port == 0 {
		c.Port = server.DEFAULT_PORT
	}
	if err := exposed("clients", c.Host, c.TLS, c.Auth); err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: c.Name, Host: c.Host, Port: c.Port,
		JetStream: true, StoreDir: c.Dir, SyncAlways: true,
		JetStreamMaxStore: orUnlimited(c.MaxStore), JetStreamMaxMemory: orUnset(c.MaxMemory),
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
		NoSigs:          true, DisableShortFirstPing: false,
		LameDuckDuration: max(c.LameDuck, 10*time.Second), LameDuckGracePeriod: time.Second,
		MaxPayload: 1 << 20, WriteDeadline: 10 * time.Second,
	}
	if c.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, c.TLS, 5
	}
	if c.ClusterPort != 0 {
		if err := c.cluster(o); err != nil {
			return nil, err
		}
	}
	if c.Auth != nil {
		if err := c.Auth.Configure(o); err != nil {
			return nil, fmt.Errorf("trust: %w", err)
		}
	}
	return o, nil
}

// cluster adds what joins the server to others.
func (c Config) cluster(o *server.Options) error {
	if c.ClusterHost == "" {
		c.ClusterHost = c.Host
	}
	if c.ClusterName == "" {
		c.ClusterName = "rutter"
	}
	if !loopback.Host(c.ClusterHost) && c.ClusterTLS == nil {
		return fmt.Errorf("cluster address %s without TLS (%w): make certificates of one CA with `rutter init --host NAME`, or use 127.0.0.1", c.ClusterHost, ErrExposed)
	}
	o.Cluster = server.ClusterOpts{Name: c.ClusterName, Host: c.ClusterHost, Port: c.ClusterPort, PoolSize: -1}
	if c.ClusterTLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.ClusterTLS, 5
	}
	for _, route := range c.Routes {
		u, err := url.Parse(route)
		if err != nil || u.Host == "" {
			return fmt.Errorf("route %q is not a URL: want one such as nats://10.0.0.2:6222", route)
		}
		o.Routes = append(o.Routes, u)
	}
	return nil
}

// exposed refuses an address that others can reach without TLS and credentials.
func exposed(who, host string, tlsConfig *tls.Config, trust *auth.Trust) error {
	switch {
	case loopback.Host(host):
		return nil
	case tlsConfig == nil:
		return fmt.Errorf("address %s for %s without TLS (%w): make certificates with `rutter init --host NAME`, or listen on 127.0.0.1", host, who, ErrExposed)
	case trust == nil:
		return fmt.Errorf("address %s for %s without credentials (%w): make them with `rutter init`, or listen on 127.0.0.1", host, who, ErrExposed)
	}
	return nil
}

func orUnlimited(n int64) int64 {
	if n == 0 {
		return math.MaxInt64 / 4 // far from where sums overflow
	}
	return n
}

func orUnset(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}
