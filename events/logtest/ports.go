package logtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
)

// Ports finds ports on loopback for servers that are stopped and started again. They are none of those that the system gives to outgoing
// connections: while a server is down some connection could take its port, even its own client's, which would then talk to itself.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	const least, perhaps = 10_000, 32_768
	low := perhaps
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(text), &low); err != nil {
			t.Fatalf("ip_local_port_range: %v", err)
		}
	}
	if low <= least {
		t.Fatalf("the system gives all ports from %d on to outgoing connections", low)
	}
	ports := make([]int, 0, n)
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			t.Fatal("no free ports")
		}
		port := least + rand.IntN(low-least)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // held until all are found
		ports = append(ports, port)
	}
	return ports
}
