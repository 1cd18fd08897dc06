#!/usr/bin/env bash
# Every test. With the race detector where a C compiler is there (it needs cgo); packages that run real containers and whole
# clusters one after the other, because they share the machine's network names.
set -euo pipefail

race=()
if command -v gcc >/dev/null 2>&1; then
  race=(-race)
  export CGO_ENABLED=1
else
  echo "test: no C compiler, so the race detector is off" >&2
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "test: NOT ROOT: the tests with real containers, networks and mounts are SKIPPED" >&2
fi
if ! command -v npm >/dev/null 2>&1; then
  echo "test: NO NODE.JS: the example subscriber in it is NOT TESTED" >&2
fi

alone=$(go list ./... | grep -E '/(agentd/runtime|agentd/network|agentd/shim|agentd/image|integration/e2e)' || true)
together=$(go list ./... | grep -vE '/(agentd/runtime|agentd/network|agentd/shim|agentd/image|integration/e2e)')

# shellcheck disable=SC2086 # lists of packages
go test "${race[@]}" -timeout 10m $together "$@"
# shellcheck disable=SC2086
[ -z "$alone" ] || go test -p 1 -timeout 15m $alone "$@"
