package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rutter-run/rutter/"

// room is a folder and what it may import of this module, beside itself and what lies below it.
type room struct {
	folder string
	may    []string
	why    string
}

// rooms are the arrows of docs/design; the longest folder that fits a package rules it.
var rooms = []room{
	{"events", []string{"events"}, "the contract depends on nothing of ours"},
	{"events/jetstream", []string{"events"}, "the log's implementation knows the contract alone"},
	{"events/memlog", []string{"events"}, "the log's implementation knows the contract alone"},
	{"projections", []string{"events"}, "state is a fold of events and of nothing else"},
	{"projections/follow", []string{"events", "projections"}, "what waits for a log lives beside the pure folds, not among them"},
	{"projections/past", []string{"events", "projections"}, "what reads a log's past lives beside the pure folds, not among them"},
	{"services", []string{"projections", "events", "internal"}, "services never import each other, nor gateway, nor agentd: they meet in the log"},
	{"gateway", []string{"gateway", "projections", "events", "internal"}, "front doors share use cases and never reach into services or the node"},
	{"gateway/client", []string{"gateway/api", "events"}, "a client speaks HTTP; it must not need the server's code"},
	{"gateway/api", []string{"events", "projections"}, "what goes over the wire is data"},
	{"agentd", []string{"agentd", "events", "internal"}, "a node's wished state is its ledger; it needs no projection of the cluster"},
	{"agentd/shim", nil, "the shim runs once a container and must stay small"},
	{"agentd/instance", []string{"events"}, "what decides is pure"},
	{"internal", []string{"internal", "events", "projections"}, "what starts processes decides nothing"},
	{"cmd", []string{"agentd", "events", "gateway", "internal", "projections", "services"}, "the binary wires everything"},
	{"deploy", []string{"internal"}, "examples show what users do: they use the binary, not its insides"},
	{"deploy/examples/subscribers", []string{"events"}, "a subscriber is a program of its own: the contract is all that it has"},
	{"integration", []string{"agentd", "events", "gateway", "integration", "internal", "projections", "services"}, "tests of the whole may use the whole"},
}

// foreign are libraries that only one room may know.
var foreign = []struct {
	of    string // the library
	rooms []string
	why   string
}{
	{"github.com/nats-io/nats.go/jetstream", []string{"events/jetstream", "integration"}, "one package speaks JetStream, so that the log can be put on something else"},
	{"github.com/synadia-io/orbit.go/jetstreamext", []string{"events/jetstream", "integration"}, "one package speaks JetStream"},
	{"github.com/nats-io/nats-server/v2/server", []string{"internal/natsserver", "events/jetstream", "internal/auth", "integration", "internal/rpc"}, "one package embeds the server; tests may"},
	{"github.com/containerd/go-runc", []string{"agentd/shim", "agentd/runtime", "integration"}, "the OCI runtime is the node's"},
	{"github.com/go-chi/chi/v5", []string{"gateway/httpapi"}, "HTTP is one front door"},
}

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,GoFiles,TestGoFiles,XTestGoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func roomOf(path string) (room, bool) {
	var best room
	for _, r := range rooms {
		if within(path, r.folder) && len(r.folder) > len(best.folder) {
			best = r
		}
	}
	return best, best.folder != ""
}

// TestEveryPackageHasARoom fails where a folder is not in the design.
func TestEveryPackageHasARoom(t *testing.T) {
	for _, p := range packages(t) {
		if path := strings.TrimPrefix(p.ImportPath, module); !strings.HasPrefix(path, "github.com/") {
			if _, ok := roomOf(path); !ok {
				t.Errorf("%s lies in no room of docs/design: say in internal/archtest what it may import, and why", path)
			}
		}
	}
}

// TestImportsFollowTheDesign holds the arrows of docs/design.
func TestImportsFollowTheDesign(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		r, ok := roomOf(path)
		if !ok {
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			target := strings.TrimPrefix(imported, module)
			own := within(target, r.folder) && r.folder != "services"
			sibling := r.folder == "services" && sameService(path, target)
			if !own && !sibling && !slices.ContainsFunc(r.may, func(folder string) bool { return within(target, folder) }) {
				t.Errorf("%s imports %s: %s", path, target, r.why)
			}
		}
	}
}

// sameService reports whether both lie in one service's folder.
func sameService(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	return len(x) > 1 && len(y) > 1 && y[0] == "services" && x[1] == y[1]
}

// TestLibrariesStayInTheirRooms holds who may know which library.
func TestLibrariesStayInTheirRooms(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, f := range foreign {
			if !slices.Contains(p.Imports, f.of) {
				continue
			}
			used[f.of] = true
			if !slices.ContainsFunc(f.rooms, func(folder string) bool { return within(path, folder) }) {
				t.Errorf("%s imports %s: %s", path, f.of, f.why)
			}
		}
	}
	for _, f := range foreign {
		if !used[f.of] {
			t.Errorf("nobody imports %s any more: take it off the list", f.of)
		}
	}
}

// TestNoDrawers fails for packages whose names promise nothing.
func TestNoDrawers(t *testing.T) {
	for _, p := range packages(t) {
		for _, part := range strings.Split(strings.TrimPrefix(p.ImportPath, module), "/") {
			if slices.Contains([]string{"utils", "util", "helpers", "helper", "common", "types", "manager", "misc"}, part) {
				t.Errorf("%s: %q is a drawer; name the package by what it does", p.ImportPath, part)
			}
		}
	}
}
