package spec

import (
	"slices"
	"strings"
)

// capabilityNames are the capabilities of Linux 5.9 and later (capabilities(7)), without the prefix.
var capabilityNames = strings.Fields(`AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE
SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`)

// KnownCapability reports whether name, with or without CAP_, is a capability of Linux or ALL.
func KnownCapability(name string) bool {
	name = strings.TrimPrefix(name, "CAP_")
	return name == "ALL" || slices.Contains(capabilityNames, name)
}

// AllCapabilities lists every capability by its full name (CAP_…).
func AllCapabilities() []string {
	all := make([]string, len(capabilityNames))
	for i, name := range capabilityNames {
		all[i] = "CAP_" + name
	}
	return all
}
