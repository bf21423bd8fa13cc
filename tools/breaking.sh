#!/usr/bin/env bash
# Compares our contracts with those of the last landed commit of main, by the WIRE_JSON rules of buf.yaml: what an older client sends
# or stores must still be understood.
#
# The base is where this work left main; on main itself, with no change of a contract at hand, the commit before. BREAKING_AGAINST=<rev>
# names another. A break that is meant goes under `breaking.ignore` in buf.yaml, with a comment that says why nobody is hurt.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "breaking: skipped: $1"
  exit 0
}

git rev-parse --verify -q HEAD >/dev/null || skip "there is no commit yet"

base="${BREAKING_AGAINST:-}"
if [[ -n "$base" ]]; then
  base="$(git rev-parse --verify "$base^{commit}")"
else
  for main in origin/main main HEAD; do
    if git rev-parse --verify -q "$main^{commit}" >/dev/null; then
      base="$(git merge-base HEAD "$main" || true)"
      break
    fi
  done
  [[ -n "$base" ]] || skip "HEAD and main have no common commit"
  if [[ "$base" == "$(git rev-parse HEAD)" && -z "$(git status --porcelain -- proto buf.yaml)" ]]; then
    base="$(git rev-parse --verify -q "HEAD^1" || true)"
    [[ -n "$base" ]] || skip "this is main's first commit"
  fi
fi
[[ -n "$(git ls-tree -r --name-only "$base" -- proto)" ]] || skip "${base:0:12} has no protos"

work=.cache/breaking
rm -rf "$work"
mkdir -p "$work/base"
git archive "$base" -- proto buf.yaml | tar -x -C "$work/base"
ln -s "$PWD/proto-deps" "$work/base/proto-deps"

# The paths make everything else an import, which --exclude-imports then leaves out: third parties are not ours to compare.
buf build --path proto/signalbox -o "$work/new.binpb"
if ! (cd "$work/base" && buf build --path proto/signalbox -o ../base.binpb); then
  skip "the protos of ${base:0:12} do not build"
fi
buf breaking "$work/new.binpb" --against "$work/base.binpb" --exclude-imports
echo "breaking: none against ${base:0:12}"
