package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/archive/archivetest"
)

// auditEvents is how many events are verified.
const auditEvents = 1_000_000

// audits measures the offline verification of an export by the binary, beside unpacking and hashing the same file once.
func (b *bench) audits() error {
	key, err := archivetest.NewKey()
	if err != nil {
		return err
	}
	_, kept, signed, err := key.Signed(archivetest.Records(auditEvents))
	if err != nil {
		return err
	}
	path := func(name string) string { return filepath.Join(b.dir, name) }
	file, err := os.Create(path("log.rutter"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := archivetest.Export(file, archive.Header{Log: "bench", First: 1, Last: uint64(kept.Size), Checkpoint: string(signed)}, archivetest.Records(auditEvents)); err != nil {
		return err
	}
	for name, text := range map[string]string{"kept.txt": string(signed), "log.vkey": key.Public} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	floor, size, err := unpackAndHash(file)
	if err != nil {
		return err
	}
	begin := time.Now()
	out, err := exec.CommandContext(b.ctx, b.binary, "audit", "verify", file.Name(), "--checkpoint", path("kept.txt"), "--key", path("log.vkey")).CombinedOutput()
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("verify: %w: %s", err, out)
	}
	figure{
		Figure: "verify an export of 1,000,000 events offline", Value: took.Seconds(), Unit: "s", Floor: floor.Seconds(), What: "unpacking and hashing the same file once",
		Aim: "under 60 s", Note: fmt.Sprintf("%.0f events/s, %.0f bytes an event in the file", auditEvents/took.Seconds(), float64(size)/auditEvents),
	}.print()
	return nil
}

func unpackAndHash(file *os.File) (took time.Duration, size int64, err error) {
	if size, err = file.Seek(0, io.SeekEnd); err != nil {
		return 0, 0, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	content, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, 0, err
	}
	defer content.Close()
	_, err = io.Copy(sha256.New(), content)
	return time.Since(begin), size, err
}
