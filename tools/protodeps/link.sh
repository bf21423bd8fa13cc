#!/usr/bin/env bash
# Links the third-party protos that ours import out of the Go module cache into proto-deps/. Versions: tools/protodeps/go.mod.
set -euo pipefail
cd "$(dirname "$0")/../.."

go -C tools/protodeps mod download github.com/bufbuild/protovalidate github.com/grpc-ecosystem/grpc-gateway
mkdir -p proto-deps

link() { # name, module, folder in the module
  local to
  to="$(go -C tools/protodeps list -m -f '{{.Dir}}' "$2")/$3"
  # An equal link stays as it is, so that a buf that runs now does not lose its files.
  if [[ "$(readlink "proto-deps/$1" || true)" != "$to" ]]; then
    ln -sfn "$to" "proto-deps/$1"
  fi
}
link protovalidate github.com/bufbuild/protovalidate proto/protovalidate
link googleapis github.com/grpc-ecosystem/grpc-gateway third_party/googleapis
