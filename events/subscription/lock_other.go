//go:build !unix

package subscription

import "os"

// lockFile makes the file; where there is no flock nobody is kept out.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }
