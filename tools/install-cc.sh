#!/usr/bin/env bash
# Installs a C compiler when there is none. Only `make test-race` needs it: Go's race detector is linked by cgo.
set -euo pipefail

if command -v cc >/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "The race detector needs a C compiler and this machine has no apt-get: install one that answers to 'cc'." >&2
  exit 1
fi
as_root=()
if [[ "$(id -u)" != 0 ]]; then
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -qq -y --no-install-recommends gcc libc6-dev
command -v cc >/dev/null
