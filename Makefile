# Signalbox. `make` lists the targets. A machine with Go, make and git is enough: every other tool is built from the versions pinned
# under tools/ into .cache/bin, once.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The targets share the tree and the build cache; two at once would only wait for each other, or see half of what the other writes.
.NOTPARALLEL:

# PKG narrows test, test-race and lint to some rooms: make test PKG=./services/lock/...
PKG          ?= ./...
# Flags of go test, separated by blanks and not quoted: make test TESTFLAGS='-run=A|B -count=2'
TESTFLAGS    ?=
# Per test binary. The whole of `make test` is meant to end within 10 minutes on 2 cores.
TEST_TIMEOUT ?= 15m
RACE_TIMEOUT ?= 20m
DEMO_ARGS    ?=
BENCH_ARGS   ?=
SEEDS        ?= 10000
SEED         ?= 1
SIMULATE     ?=

BIN := .cache/bin

# As the shell's variable, neither make nor the shell takes "|", "$" or "*" of a pattern for its own.
export GO_TEST_FLAGS := $(value TESTFLAGS)

# One setting for building, testing and linting, so that all of them share one build cache and none needs a C compiler.
export CGO_ENABLED := 0
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Real input for the tests, which skip what they cannot find.
TAU_RETAIL := $(abspath ../shared/data/tau-retail)
ifneq ($(wildcard $(TAU_RETAIL)),)
export SIGNALBOX_TAU_RETAIL ?= $(TAU_RETAIL)
endif

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Work the support desk, with crashes in the middle, and show the ledger
	go run ./examples/support-desk/demo $(DEMO_ARGS)

.PHONY: demo-saga
demo-saga: ## Take orders through four services, with crashes in the middle, and read their books
	go run ./examples/order-saga/demo $(DEMO_ARGS)

.PHONY: demo-duet
demo-duet: ## Let two agents coordinate only by events, with crashes in the middle
	go run ./examples/duet/demo $(DEMO_ARGS)

.PHONY: demo-voice
demo-voice: ## Play three telephone calls, with a crash in the middle of one
	go run ./examples/voice-relay/demo $(DEMO_ARGS)

.PHONY: demo-cards
demo-cards: ## Have a deck of game cards made, with a crash in the middle, and count its pictures
	go run ./examples/card-creator/demo $(DEMO_ARGS)

.PHONY: build
build: ## Build bin/signalbox
	go build -o bin/signalbox ./services/signalbox

.PHONY: install
install: ## Install signalbox to GOBIN
	go install ./services/signalbox

.PHONY: bench
bench: build ## Measure durable steps against raw tool calls
	go run ./services/e2e/bench $(BENCH_ARGS)

##@ Test

.PHONY: test
test: build ## Run every test, both topologies, without cgo (PKG=./services/lock/... for one room)
	set -f; go test -timeout $(TEST_TIMEOUT) $$GO_TEST_FLAGS $(PKG)
	set -f; go -C tools test $$GO_TEST_FLAGS ./...

.PHONY: test-race
test-race: cc build ## Run the packages and the one-process topology under the race detector
	set -f; CGO_ENABLED=1 CC=cc SIGNALBOX_E2E_TOPOLOGY=one-process go test -race -timeout $(RACE_TIMEOUT) $$GO_TEST_FLAGS $(PKG)

.PHONY: simulate
simulate: ## Play the deterministic simulation (SEEDS=10000 SEED=1)
	go test ./services/signalbox/simulation -count=1 -timeout 120m -run TestSimulation -seeds=$(SEEDS) -seed=$(SEED) $(SIMULATE)

##@ Check

.PHONY: check
check: check-protos breaking fresh vet walls lint-go lint-examples ## Everything a change must pass besides its tests
	@echo "check: all good"

.PHONY: lint
# With PKG given, only that room's Go code.
lint: lint-go $(if $(filter file default undefined,$(origin PKG)),lint-protos) ## Lint Go and protos (PKG=./pkg/errs/... for one room)

.PHONY: lint-go
lint-go: $(BIN)/golangci-lint
	golangci-lint run $(PKG)
ifeq ($(origin PKG),file)
	cd tools && golangci-lint run ./...
endif

.PHONY: lint-protos
lint-protos: proto-deps $(BIN)/buf
	buf lint

.PHONY: lint-examples
lint-examples: ## Lint every workflow of examples/, warnings included
	tools/lint-examples.sh

.PHONY: check-protos
check-protos: lint-protos
	buf format --path proto/signalbox --diff --exit-code

.PHONY: breaking
breaking: proto-deps $(BIN)/buf ## Compare the contracts with main's (BREAKING_AGAINST=<rev> for another base)
	tools/breaking.sh

.PHONY: fresh
fresh: generators ## Fail when generating again changes anything
	tools/fresh.sh

.PHONY: vet
vet:
	go vet ./...
	go -C tools vet ./...

.PHONY: walls
walls: $(BIN)/walls ## Check who imports whom (tools/walls.yaml)
	walls

##@ Change

.PHONY: generate
generate: generators ## Regenerate everything that is generated: contracts, mocks, reference pages
	buf format -w --path proto/signalbox
	tools/generate.sh
	go generate ./...

.PHONY: fmt
fmt: $(BIN)/golangci-lint proto-deps $(BIN)/buf ## Format Go and protos
	golangci-lint fmt
	cd tools && golangci-lint fmt
	buf format -w --path proto/signalbox

.PHONY: clean
clean: ## Delete what was built here
	rm -rf bin .cache proto-deps

##@ Set up (the other targets do this themselves)

.PHONY: tools
tools: $(BIN)/golangci-lint $(BIN)/walls generators ## Build every tool into .cache/bin

.PHONY: generators
generators: proto-deps $(BIN)/buf $(BIN)/mockgen $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc

.PHONY: proto-deps
proto-deps: ## Link third-party protos out of the Go module cache
	@tools/protodeps/link.sh

.PHONY: cc
cc: ## Install a C compiler when there is none; only the race detector needs it
	@tools/install-cc.sh

# The modfile is the key: a new version in it rebuilds the tool.
$(BIN)/buf: tools/buf/go.mod tools/buf/go.sum
	go -C tools/buf build -o $(CURDIR)/$@ github.com/bufbuild/buf/cmd/buf

$(BIN)/golangci-lint: tools/golangci/go.mod tools/golangci/go.sum
	go -C tools/golangci build -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/mockgen: tools/go.mod tools/go.sum
	go -C tools build -o $(CURDIR)/$@ github.com/golang/mock/mockgen

$(BIN)/protoc-gen-go: tools/go.mod tools/go.sum
	go -C tools build -o $(CURDIR)/$@ google.golang.org/protobuf/cmd/protoc-gen-go

$(BIN)/protoc-gen-go-grpc: tools/go.mod tools/go.sum
	go -C tools build -o $(CURDIR)/$@ google.golang.org/grpc/cmd/protoc-gen-go-grpc

$(BIN)/walls: tools/go.mod tools/go.sum $(wildcard tools/walls/*.go)
	go -C tools build -o $(CURDIR)/$@ ./walls
