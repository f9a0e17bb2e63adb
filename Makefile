# `make` lists what there is. Each target installs what it needs itself.

MAX_DEPLOYED_GZIP_BYTES = 400000

# Nothing here may reach for the network but to install.
export WRANGLER_SEND_METRICS = false
export CLOUDFLARE_CF_FETCH_ENABLED = false

.PHONY: help setup configure dev build deploy check rollback test format lint docs size configure-test cargo-test clients dry-run load audit bench profile simulation capture fuzz mutants
.NOTPARALLEL:

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## Install all tools that are missing
	@scripts/setup

configure: ## Find the homeserver, and write wrangler.toml's variables and routes
	@scripts/configure $(ARGS)

dev: ## Run the Worker here, in front of a Synapse of its own
	@scripts/dev

build: ## Build the Worker into build/
	@scripts/setup node wasm
	@scripts/build

deploy: ## Deploy the Worker as wrangler.toml describes it; GRADUAL=10 to 10 % of the requests
	@scripts/deploy $(if $(GRADUAL),--gradual $(GRADUAL)) $(if $(ENV),--env $(ENV))

check: ## Check the deployed edge from outside (ARGS=), with MATRIX_ACCESS_TOKEN and ADMIN_TOKEN of the environment
	@scripts/check $(ARGS)

rollback: ## Go back to the version that was deployed before, or to VERSION=...
	@scripts/deploy --rollback $(if $(VERSION),--version $(VERSION)) $(if $(ENV),--env $(ENV))

test: setup format lint docs build size dry-run configure-test cargo-test ## Check all that CI checks

format: ## Check the format of the code
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/clients/matrix-sdk/Cargo.toml
	cargo fmt --check --manifest-path tools/wasm-bindgen/Cargo.toml

lint: ## Run clippy on what runs natively, then on what runs in the Worker
	@scripts/setup wasm
	cargo clippy --locked --workspace --all-targets -- -D warnings
	scripts/wasm-cargo clippy --locked --lib -- -D warnings

docs: ## Check that the documentation builds, of what runs natively and in the Worker
	@scripts/setup wasm
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
	RUSTDOCFLAGS='-D warnings' scripts/wasm-cargo doc --locked --lib --no-deps --document-private-items

size: build ## Check the size of all that is deployed against its budget
	@size=$$(for module in build/*.js build/*.wasm; do gzip -9 < $$module; done | wc -c); \
		echo "build/*.js and build/*.wasm: $$size bytes gzipped, at most $(MAX_DEPLOYED_GZIP_BYTES)"; \
		test $$size -le $(MAX_DEPLOYED_GZIP_BYTES)

dry-run: build ## Check that wrangler would deploy the Worker
	scripts/node node_modules/.bin/wrangler deploy --dry-run

configure-test: build ## Run the tests of what an admin runs
	scripts/node --test tests/configure/*.test.mjs

# Those that run in both profiles: tests/workerd/plain.txt has the reasons.
PLAIN_TESTS = $(shell sed -n 's/^\([a-z][a-z_:0-9]*\) *\#.*/\1/p' tests/workerd/plain.txt)

# Most tests wait for a process or a clock: more of them at once than there are cores.
cargo-test: export RUST_TEST_THREADS = 6
cargo-test: setup build ## Run all tests behind stand-ins of Cloudflare's network, and some without (PROFILES=all: all without, too)
	cargo test --locked --workspace
	EDGE_PROFILE=plain cargo test --locked --test workerd -- $(if $(filter all,$(PROFILES)),,$(PLAIN_TESTS))
	$(if $(filter all,$(PROFILES)),EDGE_PROFILE=plain cargo test --locked --test synapse)

clients: export MATRIX_SDK_CLIENT = $(CURDIR)/target/matrix-sdk/debug/matrix-sdk-client
clients: setup build ## Run the tests of clients with matrix-sdk too, which compiles for minutes
	cargo build --locked --manifest-path tests/clients/matrix-sdk/Cargo.toml --target-dir target/matrix-sdk
	cargo test --locked --test clients

load: build ## Ask for five minutes (SECONDS=) by 200 connections (CONNECTIONS=), while isolates are replaced and readers leave, and check every answer and the memory (SYNAPSE=1: before a real Synapse; LIMIT=1: with a hard limit, as root with cgroup v2)
	@$(if $(SYNAPSE),scripts/setup node synapse)
	cargo run --locked --profile bench --package load -- $(if $(SYNAPSE),synapse) $(if $(LIMIT),limit) $(or $(CONNECTIONS),200) $(or $(SECONDS),300)

audit: ## Check licences, sources and known vulnerabilities of what it is built of (OFFLINE=1: no network)
	@scripts/setup node audit
	scripts/audit $(if $(OFFLINE),--offline)

bench: build ## Measure side by side with Synapse, nginx and other Workers (QUICK=1: in 3 minutes)
	@scripts/setup node synapse bench
	cargo run --locked --profile bench --package bench -- $(if $(QUICK),quick)

profile: build ## Look where the time and the memory of a hit go, and write it into docs/
	@scripts/setup node synapse bench
	scripts/build --names
	cargo run --locked --profile bench --package bench -- profile

fuzz: ## Play what strangers may send with libFuzzer, a minute each (TARGET=..., SECONDS=..., RUNS=...)
	@scripts/fuzz $(TARGET) $(if $(RUNS),--runs $(RUNS),--seconds $(or $(SECONDS),60))

mutants: ## Change the core in every way that a test should notice, for hours (SHARD=0/20: some of it)
	@scripts/setup mutants
	scripts/mutants $(if $(SHARD),--sharding round-robin --shard $(SHARD))

simulation: ## Play a day at fifty data centres, and write what came of it into docs/
	cargo run --locked --profile bench --package simulation -- 1 docs

capture: build ## Record some 300 exchanges with the built Worker into FILE= (default target/capture.txt), to compare before and after a change
	cargo run --locked --package capture -- $(or $(FILE),target/capture.txt)
