package durability

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
)

// The hosts of the partition's test hang on a bridge of this machine; nothing leaves it.
const (
	hostBridge = "rtrdur0"
	hostPrefix = "10.79.77."
)

func hostNamespace(n int) string { return fmt.Sprintf("rtrdur-%d", n) }

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// hosts makes network namespaces on one bridge and returns their addresses.
func hosts(t *testing.T, n int) (addresses []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	remove := func() {
		for i := range n {
			_ = command("ip", "netns", "del", hostNamespace(i)) // with its end of the pair, and so the other
		}
		_ = command("ip", "link", "del", hostBridge)
	}
	remove() // what a run left that was killed
	t.Cleanup(remove)
	require.NoError(t, command("ip", "link", "add", hostBridge, "type", "bridge"))
	require.NoError(t, command("ip", "addr", "add", hostPrefix+"1/24", "dev", hostBridge))
	require.NoError(t, command("ip", "link", "set", hostBridge, "up"))
	for i := range n {
		ns, outer, address := hostNamespace(i), fmt.Sprintf("rtrdur-v%d", i), fmt.Sprintf("%s%d", hostPrefix, 10+i)
		for _, c := range [][]string{
			{"netns", "add", ns}, {"link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", ns},
			{"link", "set", outer, "master", hostBridge, "up"}, {"-n", ns, "link", "set", "lo", "up"},
			{"-n", ns, "addr", "add", address + "/24", "dev", "eth0"}, {"-n", ns, "link", "set", "eth0", "up"},
		} {
			require.NoError(t, command("ip", c...))
		}
		addresses = append(addresses, address)
	}
	return addresses
}

// part drops all that goes between a server and the others; its clients still reach it. mend lets it through again.
func (s *served) part(t *testing.T) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", s.Namespace, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`table inet parted {
		chain in { type filter hook input priority 0; policy accept; iif lo accept; ip saddr %[1]s accept; ip saddr %[2]s drop; }
		chain out { type filter hook output priority 0; policy accept; oif lo accept; ip daddr %[1]s accept; ip daddr %[2]s drop; }
	}`, hostPrefix+"1", hostPrefix+"0/24"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func (s *served) mend(t *testing.T) {
	t.Helper()
	require.NoError(t, command("ip", "netns", "exec", s.Namespace, "nft", "delete", "table", "inet", "parted"))
}

// The leader is cut off from the other two while clients reach all three: it must acknowledge nothing that they do not have.
func TestALeaderThatIsCutOffAcknowledgesNothing(t *testing.T) {
	all := three(t, hosts(t, 3)...)
	for i, s := range all {
		s.Namespace = hostNamespace(i)
		s.start(t)
	}
	setUp(t, jetstream.StreamOptions{Replicas: 3}, urlsOf(all)...)
	var loads []*load
	for _, s := range all { // each writer knows one server
		loads = append(loads, startLoad(t, 1, func() *loadLog { return &loadLog{Log: dialOnly(t, s.url()), padding: 500} }))
	}
	for range rounds(1, 10) {
		for _, l := range loads {
			l.await(t, 10)
		}
		victim := leader(t, all)
		victim.part(t)
		for i, l := range loads {
			if all[i] != victim {
				l.await(t, 10)
			}
		}
		victim.mend(t)
		for _, l := range loads {
			l.await(t, 5)
		}
	}
	whole := &load{acked: map[string]uint64{}}
	for _, l := range loads {
		l.end()
		for name, last := range l.acked {
			whole.acked[name] = last
		}
	}
	var before []record
	for _, s := range all {
		now := whole.hold(t, "through "+s.Name, dialOnly(t, s.url()))
		requireGrown(t, before, now)
		before = now
	}
}
