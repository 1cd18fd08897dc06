// Package cni gives instances their networks through the Container Network Interface (CNI 1.0): a network namespace for each, on the
// node's bridge, with an address of the node's subnet and the host ports that it asks for.
//
// All that is known of a sandbox is in one small file, written before anything is made, so that whatever a crash leaves behind can be found and taken away.
package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/coreos/go-iptables/iptables"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// Config describes the node's network.
type Config struct {
	Dir        string       // for sandbox files, namespaces, address leases and CNI's cache
	Bridge     string       // rutter0 where empty
	Subnet     netip.Prefix // of the node's instances
	MTU        int          // the bridge plugin's choice where 0
	PluginDirs []string     // Debian's and the usual ones where empty
}

// Network is a node's instance network.
type Network struct {
	config Config
	cni    *libcni.CNIConfig
	plain  *libcni.NetworkConfigList // for instances without host ports: one plugin less to run
	ports  *libcni.NetworkConfigList
}

// sandbox is the file of one sandbox.
type sandbox struct {
	Instance  string            `json:"instance"`
	Addresses []netip.Addr      `json:"addresses,omitempty"` // none: it was never finished
	Ports     []spec.Port       `json:"ports,omitempty"`     // those with a host port
	Labels    map[string]string `json:"labels,omitempty"`
}

const (
	networkName = "rutter"
	ifName      = "eth0"
	cniVersion  = "1.0.0"
)

// New reads the configuration; Init makes it true.
func New(config Config) (*Network, error) {
	if config.Bridge == "" {
		config.Bridge = "rutter0"
	}
	if len(config.Bridge) > 15 {
		return nil, fmt.Errorf("bridge %q: want a name of at most 15 characters", config.Bridge)
	}
	if !config.Subnet.Addr().Is4() || config.Subnet.Bits() > config.Subnet.Addr().BitLen()-2 {
		return nil, fmt.Errorf("subnet %q: want an IPv4 subnet with room for a gateway and instances, such as 10.87.0.0/24", config.Subnet)
	}
	config.Subnet = config.Subnet.Masked()
	if len(config.PluginDirs) == 0 {
		config.PluginDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}
	}
	n := &Network{config: config, cni: libcni.NewCNIConfigWithCacheDir(config.PluginDirs, filepath.Join(config.Dir, "cache"), newPlugins())}
	var err error
	if n.plain, err = n.list(false); err != nil {
		return nil, err
	}
	if n.ports, err = n.list(true); err != nil {
		return nil, err
	}
	return n, nil
}

// list is the CNI configuration. Masquerading is one rule for the node, not the bridge plugin's chain for each instance.
func (n *Network) list(withPorts bool) (*libcni.NetworkConfigList, error) {
	plugins := []any{map[string]any{
		"type": "bridge", "bridge": n.config.Bridge, "isGateway": true, "hairpinMode": true, "mtu": n.config.MTU,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": filepath.Join(n.config.Dir, "leases"),
			"ranges": []any{[]any{map[string]any{"subnet": n.config.Subnet.String()}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}}
	if withPorts {
		plugins = append(plugins, map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}, "snat": true})
	}
	data, err := json.Marshal(map[string]any{"cniVersion": cniVersion, "name": networkName, "plugins": plugins})
	if err != nil {
		return nil, err
	}
	list, err := libcni.NetworkConfFromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("CNI configuration: %w", err)
	}
	return list, nil
}

// Init makes the node ready for sandboxes. It fails with [runtime.ErrPreflight] where something is missing, and may be repeated.
func (n *Network) Init() error {
	for _, plugin := range []string{"bridge", "host-local", "portmap"} {
		if _, err := n.find(plugin); err != nil {
			return err
		}
	}
	for _, dir := range []string{"sandboxes", "netns", "leases", "cache"} {
		if err := os.MkdirAll(filepath.Join(n.config.Dir, dir), 0o700); err != nil {
			return fmt.Errorf("make the network's directories: %w", err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("%w: IP forwarding cannot be switched on: %w", runtime.ErrPreflight, err)
	}
	tables, err := n.tables()
	if err != nil {
		return err
	}
	if err := tables.AppendUnique("nat", "POSTROUTING", n.masquerade()...); err != nil {
		return fmt.Errorf("%w: masquerading cannot be switched on: %w", runtime.ErrPreflight, err)
	}
	// Where something else, such as Docker, drops what is forwarded, the instances would be cut off.
	for _, rule := range n.forward() {
		if err := tables.InsertUnique("filter", "FORWARD", 1, rule...); err != nil {
			return fmt.Errorf("%w: forwarding cannot be allowed: %w", runtime.ErrPreflight, err)
		}
	}
	return nil
}

// Reset takes the node's own rule and bridge away, once no sandbox is left.
func (n *Network) Reset() error {
	tables, err := n.tables()
	if err != nil {
		return err
	}
	if err := tables.DeleteIfExists("nat", "POSTROUTING", n.masquerade()...); err != nil {
		return fmt.Errorf("take the masquerading rule away: %w", err)
	}
	for _, rule := range n.forward() {
		if err := tables.DeleteIfExists("filter", "FORWARD", rule...); err != nil {
			return fmt.Errorf("take a forwarding rule away: %w", err)
		}
	}
	return removeLink(n.config.Bridge)
}

func (n *Network) forward() [][]string {
	mark := []string{"-m", "comment", "--comment", "rutter " + n.config.Bridge, "-j", "ACCEPT"}
	return [][]string{append([]string{"-i", n.config.Bridge}, mark...), append([]string{"-o", n.config.Bridge}, mark...)}
}

func (n *Network) tables() (*iptables.IPTables, error) {
	tables, err := iptables.New(iptables.Timeout(10))
	if err != nil {
		return nil, fmt.Errorf("%w: iptables is missing (Debian package iptables): %w", runtime.ErrPreflight, err)
	}
	return tables, nil
}

func (n *Network) masquerade() []string {
	subnet := n.config.Subnet.String()
	return []string{"-s", subnet, "!", "-d", subnet, "-m", "comment", "--comment", "rutter " + n.config.Bridge, "-j", "MASQUERADE"}
}

func (n *Network) find(plugin string) (string, error) {
	for _, dir := range n.config.PluginDirs {
		path := filepath.Join(dir, plugin)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: CNI plugin %s is in none of %s (Debian package containernetworking-plugins)", runtime.ErrPreflight, plugin, strings.Join(n.config.PluginDirs, ", "))
}

// Add makes the sandbox of an instance; one that is whole is left as it is.
func (n *Network) Add(ctx context.Context, config runtime.SandboxConfig) (runtime.Sandbox, error) {
	s, err := n.load(config.Instance)
	if made := n.describe(s); err == nil && !made.Broken {
		return made, nil
	}
	if unread(err) {
		return runtime.Sandbox{}, fmt.Errorf("sandbox file of %s: %w", config.Instance, err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		// Begun and never finished, torn, or from before the machine was restarted.
		if err := n.Del(ctx, config.Instance); err != nil {
			return runtime.Sandbox{}, err
		}
	}
	s = sandbox{Instance: config.Instance, Labels: config.Labels}
	for _, p := range config.Ports {
		if p.HostPort > 0 {
			s.Ports = append(s.Ports, p)
		}
	}
	if err := n.save(s); err != nil {
		return runtime.Sandbox{}, err
	}
	if err := newNamespace(n.netns(config.Instance)); err != nil {
		return runtime.Sandbox{}, errors.Join(fmt.Errorf("network namespace of %s: %w", config.Instance, err), n.Del(ctx, config.Instance))
	}
	list, attach := n.attachment(s)
	result, err := n.cni.AddNetworkList(ctx, list, attach)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		return runtime.Sandbox{}, errors.Join(fmt.Errorf("CNI ADD for %s: %w", config.Instance, err), n.Del(ctx, config.Instance))
	}
	current, err := types100.NewResultFromResult(result)
	if err != nil {
		return runtime.Sandbox{}, fmt.Errorf("CNI result for %s: %w", config.Instance, err)
	}
	for _, ip := range current.IPs {
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			s.Addresses = append(s.Addresses, a.Unmap())
		}
	}
	if len(s.Addresses) == 0 {
		return runtime.Sandbox{}, errors.Join(fmt.Errorf("CNI gave %s no address", config.Instance), n.Del(ctx, config.Instance))
	}
	return n.describe(s), n.save(s)
}

// Del takes a sandbox away, whole or not. What is gone is no error.
func (n *Network) Del(ctx context.Context, instance string) error {
	s, err := n.load(instance)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if unread(err) {
		return fmt.Errorf("sandbox file of %s: %w", instance, err)
	}
	list, attach := n.attachment(s)
	if err != nil {
		// A torn file still names its sandbox, and what ports it had stands in CNI's own cache.
		list, attach = n.attachment(sandbox{Instance: instance})
		if _, cached, err := n.cni.GetNetworkListCachedConfig(n.ports, attach); err == nil && cached != nil && len(cached.CapabilityArgs) > 0 {
			list, attach.CapabilityArgs = n.ports, cached.CapabilityArgs
		}
	}
	if err := n.cni.DelNetworkList(ctx, list, attach); err != nil {
		return fmt.Errorf("CNI DEL for %s: %w", instance, err)
	}
	if err := removeNamespace(n.netns(instance)); err != nil {
		return fmt.Errorf("network namespace of %s: %w", instance, err)
	}
	if err := os.Remove(n.file(instance)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sandbox file of %s: %w", instance, err)
	}
	return nil
}

// List lists every sandbox, unfinished ones included.
func (n *Network) List() ([]runtime.Sandbox, error) {
	files, err := os.ReadDir(filepath.Join(n.config.Dir, "sandboxes"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	var all []runtime.Sandbox
	for _, f := range files {
		instance, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		s, err := n.load(instance)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed meanwhile
		}
		if unread(err) {
			return nil, fmt.Errorf("list sandboxes: %w", err)
		}
		if err != nil {
			s = sandbox{Instance: instance}
		}
		all = append(all, n.describe(s))
	}
	return all, nil
}

// attachment is what CNI is asked for: the same for ADD and DEL.
func (n *Network) attachment(s sandbox) (*libcni.NetworkConfigList, *libcni.RuntimeConf) {
	attach := &libcni.RuntimeConf{ContainerID: s.Instance, NetNS: n.netns(s.Instance), IfName: ifName}
	if !isNamespace(attach.NetNS) {
		attach.NetNS = "" // DEL after a restart of the machine: only leases and rules are left to free
	}
	if len(s.Ports) == 0 {
		return n.plain, attach
	}
	mappings := make([]map[string]any, len(s.Ports))
	for i, p := range s.Ports {
		mappings[i] = map[string]any{"hostPort": p.HostPort, "containerPort": p.ContainerPort, "protocol": string(p.Protocol)}
	}
	attach.CapabilityArgs = map[string]any{"portMappings": mappings}
	return n.ports, attach
}

func (n *Network) describe(s sandbox) runtime.Sandbox {
	return runtime.Sandbox{
		Instance: s.Instance, NetNSPath: n.netns(s.Instance), Addresses: s.Addresses, Labels: s.Labels,
		Broken: len(s.Addresses) == 0 || !isNamespace(n.netns(s.Instance)),
	}
}

func (n *Network) netns(instance string) string {
	return filepath.Join(n.config.Dir, "netns", instance)
}

func (n *Network) file(instance string) string {
	return filepath.Join(n.config.Dir, "sandboxes", instance+".json")
}

// unread tells a file that is there and could not be read, such as for want of file descriptors, from one that is torn: its sandbox may be
// whole, and another try may go well.
func unread(err error) bool {
	var io *os.PathError
	return errors.As(err, &io) && !errors.Is(err, os.ErrNotExist)
}

func (n *Network) load(instance string) (sandbox, error) {
	var s sandbox
	data, err := os.ReadFile(n.file(instance))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	if s.Instance != instance {
		return sandbox{}, fmt.Errorf("%s is not the file of sandbox %s", n.file(instance), instance)
	}
	return s, nil
}

// save writes the sandbox file so that it is there whole or not at all. It need not outlive a power loss: the namespace does not either.
func (n *Network) save(s sandbox) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := n.file(s.Instance) + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("sandbox file of %s: %w", s.Instance, err)
	}
	return os.Rename(tmp, n.file(s.Instance))
}
