# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TOOLS := .tools/bin
KUBECTL := $(TOOLS)/kubectl
INFORMERS := $(TOOLS)/informers
CHARTS := $(TOOLS)/caravel-charts
CHARTS_SOURCES := $(wildcard engines/charts/go/*.go) engines/charts/go/go.mod engines/charts/go/go.sum
KUBECTL_VERSION := 1.36.3
CARGO_DENY_VERSION := 0.20.2

export KUBECTL_BIN := $(abspath $(KUBECTL))
export INFORMERS_BIN := $(abspath $(INFORMERS))
export CARAVEL_CHARTS_BIN := $(abspath $(CHARTS))

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Build, start the daemon, apply the example, follow it to running, serve (ONCE=1: then end)
	@deploy/run.sh "$(TARGET_DIR)/release/caravel" examples/website.yaml

.PHONY: test
test: toolchains tools ## Install what the tests need and run them all
	cd engines/charts/go && GOFLAGS=-mod=readonly go test ./...
	cargo test --workspace --locked --no-fail-fast

.PHONY: check
check: toolchains ## Format, lints, layers, licences, freshness of generated files
	@if git grep -nE '^(<{7}|>{7}) '; then echo "a merge left these lines"; exit 1; fi
	cargo fmt --all --check
	@unformatted=$$(gofmt -l engines/cue/go engines/charts/go tests/tools); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo run --quiet --locked -p xtask -- check
	@$(MAKE) --no-print-directory deny
	@# Committed files that are generated are proved fresh by tests of the crates that generate them
	@# (deploy/crds, docs/protocol.md, docs/openapi.json); `make generate` writes them anew.

.PHONY: deny
deny: ## Licences, banned crates, sources
	@if ! cargo deny --version 2>/dev/null | grep -qF "$(CARGO_DENY_VERSION)"; then cargo install --quiet --locked cargo-deny@$(CARGO_DENY_VERSION); fi
	cargo deny --log-level error check bans licenses sources

.PHONY: faults
faults: toolchains ## Plant a fault for each invariant of the design; the tests must notice
	cargo run --quiet --locked -p xtask -- faults

.PHONY: generate
generate: ## Write all committed generated files anew
	cargo run --quiet --locked -p caravel-core --example generate-crds
	UPDATE_DOCS=1 cargo test --quiet --locked -p caravel-engines --test generated
	UPDATE_GENERATED=1 cargo test --quiet --locked -p caravel-server --lib generated

.PHONY: docs
docs: build ## Write a reference page for each built-in definition: target/docs/definitions
	@"$(TARGET_DIR)/release/caravel" def doc --builtin --out target/docs/definitions

.PHONY: build
build: toolchains $(CHARTS) ## Build target/release/caravel (tuned for iteration), and caravel-charts beside it
	cargo build --release --locked -p caravel
	@cp $(CHARTS) "$(TARGET_DIR)/release/caravel-charts"

.PHONY: dist
dist: toolchains $(CHARTS) ## Build the optimized program: target/dist/caravel, and caravel-charts beside it
	cargo build --profile dist --locked -p caravel
	@cp $(CHARTS) "$(TARGET_DIR)/dist/caravel-charts"

.PHONY: bench
bench: build ## Run the benchmarks; see docs/benchmarks.md
	cargo run --release --locked -p caravel-tests --bin bench

FUZZ_SECONDS := 60

.PHONY: fuzz
fuzz: toolchains ## Fuzz frames, definitions and Applications, FUZZ_SECONDS each (needs nightly Rust and cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs: rustup toolchain install nightly --profile minimal && cargo +nightly install --locked cargo-fuzz"; exit 1; }
	@# What we ship are the seeds; what is found new goes to fuzz/corpus.
	@for target in frame definition application; do \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo +nightly fuzz run $$target fuzz/corpus/$$target definitions/component definitions/trait definitions/policy \
	    definitions/workflow-step examples -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 -max_len=8192; \
	done

.PHONY: tools
tools: $(KUBECTL) $(INFORMERS) $(CHARTS) ## Build what tests use besides: kubectl, a client-go informer, caravel-charts

$(KUBECTL): tests/tools/kubectl/go.mod tests/tools/kubectl/go.sum tests/tools/kubectl/main.go
	@echo "building kubectl $(KUBECTL_VERSION) from its module (once)"
	@mkdir -p $(TOOLS)
	cd tests/tools/kubectl && GOFLAGS=-mod=readonly go build -o $(abspath $@) -ldflags "-s -w \
	  -X k8s.io/component-base/version.gitVersion=v$(KUBECTL_VERSION) \
	  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36 \
	  -X k8s.io/client-go/pkg/version.gitVersion=v$(KUBECTL_VERSION)" .

$(CHARTS): $(CHARTS_SOURCES)
	@echo "building caravel-charts, which renders Helm charts"
	@mkdir -p $(TOOLS)
	cd engines/charts/go && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o $(abspath $@) -trimpath -ldflags "-s -w" .

$(INFORMERS): tests/tools/informers/go.mod tests/tools/informers/go.sum tests/tools/informers/main.go
	@mkdir -p $(TOOLS)
	cd tests/tools/informers && GOFLAGS=-mod=readonly go build -o $(abspath $@) -ldflags "-s -w" .

.PHONY: toolchains
toolchains:
	@deploy/check-toolchains.sh

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
	rm -rf .tools
