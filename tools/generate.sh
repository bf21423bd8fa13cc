#!/usr/bin/env bash
# Generates the code of our contracts and makes gen/ equal to it: what changed is replaced, what no proto stands for any more is
# deleted, and nothing is touched when generating fails.
set -euo pipefail
cd "$(dirname "$0")/.."

out=.cache/generate
rm -rf "$out"
mkdir -p "$out/gen" gen
buf generate --path proto/signalbox -o "$out"

while IFS= read -r -d '' file; do
  if ! cmp -s "$out/gen/$file" "gen/$file"; then
    mkdir -p "gen/$(dirname "$file")"
    cp "$out/gen/$file" "gen/$file"
  fi
done < <(cd "$out/gen" && find . -type f -print0)

while IFS= read -r -d '' file; do
  if [[ ! -e "$out/gen/$file" ]]; then
    rm "gen/$file"
  fi
done < <(cd gen && find . -type f -print0)
find gen -mindepth 1 -type d -empty -delete
