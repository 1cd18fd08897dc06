// Package testimage builds small images on the spot, from the system's static busybox and nothing else, and serves them from a
// registry inside the process. The demo, the examples, the tests and the benchmarks run them; no network is needed.
package testimage

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// BusyboxPath is where Debian's package busybox-static has its program.
const BusyboxPath = "/bin/busybox"

// Entry is one entry of a layer. A zero header is a regular file of mode 0644.
type Entry struct {
	Header tar.Header
	Body   []byte
}

// File is a regular file.
func File(name string, mode int64, body string) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, Body: []byte(body)}
}

// Dir is a directory.
func Dir(name string, mode int64) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}}
}

// Tar makes a tar of the entries as they are, hostile ones too.
func Tar(entries ...Entry) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == 0 {
			h.Typeflag, h.Mode = tar.TypeReg, 0o644
		}
		h.Size = int64(len(e.Body))
		if err := w.WriteHeader(&h); err != nil {
			return nil, fmt.Errorf("tar %s: %w", h.Name, err)
		}
		if _, err := w.Write(e.Body); err != nil {
			return nil, fmt.Errorf("tar %s: %w", h.Name, err)
		}
	}
	return buffer.Bytes(), w.Close()
}

// Layer makes a gzipped layer of the entries.
func Layer(entries ...Entry) (v1.Layer, error) {
	data, err := Tar(entries...)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

// Busybox is an image with busybox, its applets, /etc/passwd with root, daemon and nobody, and further entries.
func Busybox(config v1.Config, more ...Entry) (v1.Image, error) {
	program, err := os.ReadFile(BusyboxPath)
	if err != nil {
		return nil, fmt.Errorf("busybox (Debian package busybox-static): %w", err)
	}
	list, err := exec.Command(BusyboxPath, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox's applets: %w", err)
	}
	entries := []Entry{
		Dir("bin", 0o755), Dir("etc", 0o755), Dir("root", 0o700), Dir("tmp", 0o1777), Dir("www", 0o755),
		{Header: tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, Body: program},
		File("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
		File("etc/group", 0o644, "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n"),
	}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet != "busybox" {
			entries = append(entries, Entry{Header: tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}})
		}
	}
	layer, err := Layer(append(entries, more...)...)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file.Config, file.OS, file.Architecture = config, "linux", "amd64"
	return mutate.ConfigFile(image, file)
}

// Web is an image whose containers answer on port 8080 with the name of their instance.
func Web() (v1.Image, error) {
	return Busybox(v1.Config{
		Entrypoint:   []string{"/bin/sh", "-c", `echo "$RUTTER_INSTANCE" >/www/index.html; echo "serving as $RUTTER_INSTANCE"; exec httpd -f -p 8080 -h /www`},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	})
}
