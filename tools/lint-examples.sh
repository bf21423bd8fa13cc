#!/usr/bin/env bash
# Lints every definition of examples/, warnings included, against the tools that the examples describe in their tools.json.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(grep -rl --include='*.yaml' '^api_version: signalbox/v1' examples | sort)
mapfile -t tools < <(find examples -name tools.json | sort)
go run ./services/signalbox workflow lint --strict "${tools[@]/#/--tools=}" "${files[@]}"
