#!/usr/bin/env bash
# Install what containers and their networks need, where it is missing. Debian and Ubuntu; quiet and quick where all is there.
set -euo pipefail

need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

missing=()
need runc || missing+=(runc)
[ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || missing+=(containernetworking-plugins)
need ip || missing+=(iproute2)
need iptables || missing+=(iptables)
need nft || missing+=(nftables)
need sysctl || missing+=(procps)
need nsenter || missing+=(util-linux)
[ -x /bin/busybox ] || missing+=(busybox-static)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

# Not needed to run anything: the other OCI runtime that the tests run on, where it can be had.
wanted=()
need crun || wanted+=(crun)

[ ${#missing[@]} -eq 0 ] && [ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  [ ${#missing[@]} -eq 0 ] && exit 0
  echo "setup: not root, so these packages stay missing: ${missing[*]}" >&2
  echo "setup: real containers need them and root; the simulated runtime (rutter up --runtime sim) does not" >&2
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  [ ${#missing[@]} -eq 0 ] && exit 0
  echo "setup: install by hand what these Debian packages hold: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ ${#wanted[@]} -gt 0 ]; then
  echo "setup: installing ${wanted[*]}, which the tests want"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null; } ||
    echo "setup: no ${wanted[*]}: the tests on it are SKIPPED" >&2
fi
