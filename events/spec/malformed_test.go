package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// valid is a document that every case changes in one place.
const valid = `apiVersion: rutter.run/v1
kind: Workload
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  restartPolicy: always
  gracePeriod: 10s
  onPartition: keep
  nodeSelector: {zone: a}
  containers:
  - name: main
    image: nginx:1.27
    command: [nginx]
    args: [-g, daemon off;]
    workingDir: /srv
    stopSignal: SIGQUIT
    env: [{name: COLOUR, value: blue}]
    ports: [{name: http, containerPort: 80, hostPort: 8080, protocol: tcp}]
    resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {cpu: "1", memory: 128Mi}}
    securityContext: {user: "1000:1000", seccomp: default, capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}}
`

func TestTheValidDocumentIsValid(t *testing.T) {
	w, err := ParseWorkload([]byte(valid))
	require.NoError(t, err)
	require.Equal(t, "web", w.Metadata.Name)
	require.Equal(t, CPU(250), w.Spec.Containers[0].Resources.Requests.CPU)
}

// malformed documents: what is changed in the valid one, the path of the field and a part of the remedy.
var malformed = []struct{ name, old, new, field, want string }{
	{"other version", "rutter.run/v1", "v1", "apiVersion", "rutter.run/v1"},
	{"no version", "apiVersion: rutter.run/v1\n", "", "apiVersion", "rutter.run/v1"},
	{"other kind", "kind: Workload", "kind: Deployment", "kind", "Workload"},
	{"no name", "  name: web\n", "  namespace: x\n", "metadata.name", "a name: lower-case letters"},
	{"upper-case name", "name: web\n", "name: Web\n", "metadata.name", "lower-case letters"},
	{"name with a dot", "name: web\n", "name: web.site\n", "metadata.name", "lower-case letters"},
	{"name too long", "name: web\n", "name: " + strings.Repeat("a", 41) + "\n", "metadata.name", "at most 40 characters"},
	{"numeric name", "name: web\n", "name: 12\n", "metadata.name", "a string (in quotes"},
	{"bad namespace", "name: web\n", "name: web\n  namespace: a b\n", "metadata.namespace", "lower-case letters"},
	{"label key", "{app: web}", "{-app: web}", "metadata.labels", "a label key"},
	{"label value", "{app: web}", "{app: a b}", "metadata.labels.app", "at most 63 letters"},
	{"numeric label", "{app: web}", "{app: 1}", "metadata.labels.app", "a string (in quotes"},
	{"labels as a list", "{app: web}", "[app]", "metadata.labels", "names with values"},
	{"unknown top field", "kind: Workload", "kind: Workload\nfoo: 1", "foo", "one of the fields apiVersion, kind"},
	{"unknown spec field", "replicas: 2", "replica: 2", "spec.replica", "one of the fields type, replicas"},
	{"misspelt container field", "    workingDir", "    workingdir", "spec.containers[0].workingdir", "one of the fields name, image"},
	{"unknown resource field", "requests: {cpu: 250m", "requests: {cpus: 250m", "spec.containers[0].resources.requests.cpus", "one of the fields cpu, memory"},
	{"replicas as a word", "replicas: 2", "replicas: two", "spec.replicas", "a whole number"},
	{"half a replica", "replicas: 2", "replicas: 1.5", "spec.replicas", "a whole number"},
	{"replicas below zero", "replicas: 2", "replicas: -1", "spec.replicas", "0 to 100000"},
	{"too many replicas", "replicas: 2", "replicas: 100001", "spec.replicas", "0 to 100000"},
	{"other type", "replicas: 2", "type: batch", "spec.type", "service"},
	{"restart policy", "restartPolicy: always", "restartPolicy: sometimes", "spec.restartPolicy", "always, on-failure or never"},
	{"restart policy off", "restartPolicy: always", "restartPolicy: off", "spec.restartPolicy", "a string (in quotes"},
	{"on partition", "onPartition: keep", "onPartition: flee", "spec.onPartition", "keep or stop"},
	{"grace as a word", "gracePeriod: 10s", "gracePeriod: soon", "spec.gracePeriod", "a duration such as 10s"},
	{"grace without a unit", "gracePeriod: 10s", "gracePeriod: '10'", "spec.gracePeriod", "a duration such as 10s"},
	{"grace below zero", "gracePeriod: 10s", "gracePeriod: -5s", "spec.gracePeriod", "0s to 1h0m0s"},
	{"grace of a day", "gracePeriod: 10s", "gracePeriod: 24h", "spec.gracePeriod", "0s to 1h0m0s"},
	{"node selector", "{zone: a}", "{zone: a/b}", "spec.nodeSelector.zone", "at most 63 letters"},
	{"container name", "- name: main", "- name: Main_1", "spec.containers[0].name", "lower-case letters"},
	{"no image", "    image: nginx:1.27\n", "", "spec.containers[0].image", "an image reference"},
	{"empty image", "image: nginx:1.27", "image: ''", "spec.containers[0].image", "an image reference"},
	{"upper-case image", "image: nginx:1.27", "image: NGINX:1.27", "spec.containers[0].image", "an image reference [registry/]"},
	{"image with a blank", "image: nginx:1.27", "image: nginx latest", "spec.containers[0].image", "an image reference [registry/]"},
	{"image as a map", "image: nginx:1.27", "image: {name: nginx}", "spec.containers[0].image", "an image reference [registry/]"},
	{"digest too short", "image: nginx:1.27", "image: nginx@sha256:abc", "spec.containers[0].image", "reference"},
	{"command as a string", "command: [nginx]", "command: nginx -g", "spec.containers[0].command", "a list"},
	{"empty command", "command: [nginx]", "command: ['']", "spec.containers[0].command[0]", "a program to run"},
	{"number among args", "args: [-g, daemon off;]", "args: [-p, 80]", "spec.containers[0].args[1]", "a string (in quotes"},
	{"relative directory", "workingDir: /srv", "workingDir: srv", "spec.containers[0].workingDir", "an absolute path"},
	{"stop signal", "SIGQUIT", "QUIT", "spec.containers[0].stopSignal", "a signal name such as SIGTERM"},
	{"env name", "name: COLOUR", "name: 1COLOUR", "spec.containers[0].env[0].name", "not starting with a digit"},
	{"env twice", "{name: COLOUR, value: blue}", "{name: A, value: b}, {name: A, value: c}", "spec.containers[0].env[1].name", "each name once"},
	{"env as a map", "[{name: COLOUR, value: blue}]", "{COLOUR: blue}", "spec.containers[0].env", "a list"},
	{"numeric env value", "value: blue", "value: 1", "spec.containers[0].env[0].value", "a string (in quotes"},
	{"port zero", "containerPort: 80,", "containerPort: 0,", "spec.containers[0].ports[0].containerPort", "a port from 1 to 65535"},
	{"port too high", "hostPort: 8080", "hostPort: 65536", "spec.containers[0].ports[0].hostPort", "a port from 1 to 65535"},
	{"port as text", "containerPort: 80,", "containerPort: http,", "spec.containers[0].ports[0].containerPort", "a whole number"},
	{"protocol", "protocol: tcp", "protocol: http", "spec.containers[0].ports[0].protocol", "tcp, udp or sctp"},
	{"port twice", "protocol: tcp}]", "protocol: tcp}, {containerPort: 80}]", "spec.containers[0].ports[1].containerPort", "each port and protocol once"},
	{"host port twice", "protocol: tcp}]", "protocol: tcp}, {containerPort: 81, hostPort: 8080}]", "spec.containers[0].ports[1].hostPort", "each host port and protocol once"},
	{"cpu as a word", "cpu: 250m", "cpu: lots", "spec.containers[0].resources.requests.cpu", "a CPU quantity such as 250m"},
	{"memory in odd units", "memory: 64Mi", "memory: 64MB", "spec.containers[0].resources.requests.memory", "a quantity of bytes such as 64Mi"},
	{"empty memory", "memory: 64Mi", "memory: ''", "spec.containers[0].resources.requests.memory", "a quantity of bytes"},
	{"cpu below zero", "cpu: 250m", "cpu: -1", "spec.containers[0].resources.requests.cpu", "zero or more"},
	{"cpu beyond reason", "cpu: 250m", "cpu: 10E", "spec.containers[0].resources.requests.cpu", "less of it"},
	{"request above limit", "cpu: 250m", "cpu: 3", "spec.containers[0].resources.requests.cpu", "no more than the limit 1"},
	{"memory limit too small", "memory: 128Mi", "memory: 1Mi", "spec.containers[0].resources.limits.memory", "at least 6Mi"},
	{"gpu and a half", "cpu: 250m", "gpu: 1.5", "spec.containers[0].resources.requests.gpu", "whole GPUs, or less than one"},
	{"custom resource", "cpu: 250m", "custom: {'a b': 1}", "spec.containers[0].resources.requests.custom", "a resource name"},
	{"user", `user: "1000:1000"`, "user: root:wheel:x", "spec.containers[0].securityContext.user", "user or user:group"},
	{"numeric user", `user: "1000:1000"`, "user: 1000", "spec.containers[0].securityContext.user", "a string (in quotes"},
	{"seccomp", "seccomp: default", "seccomp: strict", "spec.containers[0].securityContext.seccomp", "default or unconfined"},
	{"capability", "[NET_BIND_SERVICE]", "[NET_EVERYTHING]", "spec.containers[0].securityContext.capabilities.add[0]", "a capability such as"},
	{"privileged is not offered", "seccomp: default", "privileged: true", "spec.containers[0].securityContext.privileged", "one of the fields user"},
	{"containers as a map", "  containers:\n  - name: main", "  containers:\n    name: main", "spec.containers", "a list"},
	{"an empty entry", "drop: [ALL]}}\n", "drop: [ALL]}}\n  -\n", "spec.containers[1]", "an entry"},
	{"container twice", "    image: nginx:1.27\n", "    image: nginx:1.27\n  - name: main\n    image: b\n", "spec.containers[1].name", "each container's name once"},
}

func TestMalformedDocumentsNameFieldAndRemedy(t *testing.T) {
	require.GreaterOrEqual(t, len(malformed), 40)
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, valid, c.old, "a fault of the test")
			_, err := ParseWorkload([]byte(strings.Replace(valid, c.old, c.new, 1)))
			var faults Errors
			require.True(t, errors.As(err, &faults), "%v", err)
			var said []string
			for _, f := range faults {
				if f.Field == c.field && strings.Contains(f.Want, c.want) {
					require.True(t, strings.HasPrefix(f.Error(), c.field+":"), f.Error())
					return
				}
				said = append(said, f.Error())
			}
			t.Fatalf("want %s: … %s …, got\n%s", c.field, c.want, strings.Join(said, "\n"))
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	text := strings.NewReplacer("cpu: 250m", "cpu: lots", "image: nginx:1.27", "image: NGINX", "replicas: 2", "replicas: two", "kind: Workload", "kind: Workload\nfoo: 1").Replace(valid)
	_, err := ParseWorkload([]byte(text))
	var faults Errors
	require.ErrorAs(t, err, &faults)
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"foo", "spec.containers[0].image", "spec.containers[0].resources.requests.cpu", "spec.replicas"}, fields)
}

func TestWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"{", "a: b: c", "\tx: 1", "spec: {replicas: 1}\nspec: {replicas: 2}\n"} {
		_, err := ParseWorkload([]byte(text))
		require.ErrorContains(t, err, "not YAML or JSON", text)
		require.NotContains(t, err.Error(), "\n", "one line")
	}
	_, err := ParseWorkload([]byte("just text"))
	require.ErrorContains(t, err, "fields: apiVersion, kind, metadata, spec")
	_, err = ParseWorkloads([]byte("# nothing\n---\n"))
	require.ErrorContains(t, err, "no document")
}

func TestDocumentsOfAStreamAreNumbered(t *testing.T) {
	all, err := ParseWorkloads([]byte(valid + "---\n" + strings.Replace(valid, "name: web", "name: api", 1)))
	require.NoError(t, err)
	require.Len(t, all, 2)
	_, err = ParseWorkloads([]byte(valid + "---\n" + strings.Replace(valid, "cpu: 250m", "cpu: lots", 1)))
	require.ErrorContains(t, err, "document 2: spec.containers[0].resources.requests.cpu: ")
}

func TestANamespaceGivenBesidesTheDocument(t *testing.T) {
	all, err := ParseWorkloadsIn([]byte(valid), "team")
	require.NoError(t, err)
	require.Equal(t, "team", all[0].Metadata.Namespace)
	inOther := strings.Replace(valid, "name: web\n", "name: web\n  namespace: other\n", 1)
	_, err = ParseWorkloadsIn([]byte(inOther), "team")
	require.ErrorContains(t, err, `metadata.namespace: "other": want team`)
}

func TestNullIsAsIfAbsent(t *testing.T) {
	text := strings.NewReplacer("gracePeriod: 10s", "gracePeriod: null", "cpu: 250m", "cpu: ~", "replicas: 2", "replicas:").Replace(valid)
	w, err := ParseWorkload([]byte(text))
	require.NoError(t, err)
	require.Equal(t, DefaultGracePeriod, w.Spec.GracePeriod)
	require.Equal(t, 1, *w.Spec.Replicas)
}

func TestAStatusIsLeftOutOfAccount(t *testing.T) {
	w, err := ParseWorkload([]byte(valid + "status: {state: Ready, revision: 3}\n"))
	require.NoError(t, err)
	plain, err := ParseWorkload([]byte(valid))
	require.NoError(t, err)
	require.Equal(t, plain, w)
}

func FuzzParseWorkload(f *testing.F) {
	f.Add(valid)
	for _, c := range malformed {
		f.Add(strings.Replace(valid, c.old, c.new, 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWorkload([]byte(text))
		if err != nil {
			_ = fmt.Sprint(err)
			return
		}
		again := w
		again.Default()
		require.Equal(t, w, again, "what was accepted is defaulted")
		require.NoError(t, w.Validate())
	})
}
