package runtime

import "errors"

// The errors that callers tell apart. Implementations wrap them with what was attempted.
var (
	ErrNotFound      = errors.New("not found")
	ErrNotRunning    = errors.New("not running")
	ErrImageNotFound = errors.New("image not found")               // the registry says that there is none
	ErrRegistry      = errors.New("registry cannot be reached")    // worth another try
	ErrBadImage      = errors.New("image is malformed or hostile") // never worth another try
	ErrDigest        = errors.New("digest does not match")
	ErrDiskFull      = errors.New("disk is full")
	ErrBadConfig     = errors.New("container cannot run as asked")     // command not found, unknown user …: its message says which
	ErrImageMissing  = errors.New("image is not on the node")          // it was removed or is damaged: pull it again
	ErrSandboxBroken = errors.New("sandbox is not whole")              // remove it and make it again
	ErrUnseen        = errors.New("not everything could be looked at") // what is not listed may be there all the same
	ErrPreflight     = errors.New("node is not fit")
)
