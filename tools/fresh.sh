#!/usr/bin/env bash
# Fails when `make generate` changes, adds or deletes a file: then what is in the tree was generated from something else. It compares
# with the tree as it is, committed or not, so it can be run before a commit.
set -euo pipefail
cd "$(dirname "$0")/.."

snapshot() {
  git ls-files --cached --others --exclude-standard -z | sort -zu | xargs -0 sha256sum 2>/dev/null || true
}
mkdir -p .cache
snapshot > .cache/fresh.before
make --no-print-directory generate
snapshot > .cache/fresh.after

if ! changed="$(diff .cache/fresh.before .cache/fresh.after)"; then
  echo "Generated files were stale. They are fresh now; look at them and commit them:" >&2
  awk '/^[<>]/ { print "  " $3 }' <<<"$changed" | sort -u >&2
  exit 1
fi
