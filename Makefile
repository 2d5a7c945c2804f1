# Everything here does its own set-up and may be run again at any time.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo build test test-full conformance faults fronts release image package lint bench bench-hls fuzz setup setup-test setup-bench setup-conformance page

PAGE := frontend/build/index.html

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup $(PAGE) ## a live race wall on http://127.0.0.1:8080 (ARGS="--listen 127.0.0.1:8081" for another)
	cargo build --package pitwall
	exec target/debug/pitwall demo $(ARGS)

build: setup $(PAGE) ## the release binary, target/release/pitwall
	cargo build --release --package pitwall

release: setup $(PAGE) ## target/release-files: executables, symbols, Debian packages, checksums, SBOM (ARGS=x86_64: one architecture)
	.ci/release $(ARGS)

image: $(PAGE) ## the image, by buildah around target/debug/pitwall, tried without a registry of images
	cargo build --package pitwall
	.ci/image

package: $(PAGE) ## the Debian package of target/debug/pitwall, installed and run under systemd
	cargo build --package pitwall
	.ci/package

test: setup-test ## what CI runs: lint, unit, integration and browser tests
	.ci/test

test-full: test ## test, and what takes longer
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	.ci/advisories
	node conformance/run.mjs --fast
	cargo test --package pitwall --locked --features otlp --bin pitwall otlp::
	.ci/observe alerts
	.ci/fronts
	FULL=1 .ci/stacks
	.ci/image
	.ci/package
	FULL=1 cargo test --package pitwall-control-plane --locked --lib recurring_ical_events
	FULL=1 cargo test --package pitwall-proxy --locked --lib -- edges_agree_whatever_happens any_schedule_keeps
	FULL=1 .ci/browser
	$(MAKE) --no-print-directory faults

faults: setup-test $(PAGE) ## the fault matrix against the release binary (ARGS="redis clock": rows by name; ARGS=--list; PITWALL=PATH)
	$(if $(PITWALL)$(filter --list,$(ARGS)),,cargo build --release --package pitwall)
	node pitwall/tests/faults/main.mjs $(ARGS)

fronts: setup-test $(PAGE) ## reverse proxies before two edges, one of which is stopped and killed under load
	cargo build --package pitwall
	.ci/fronts

lint: setup frontend/node_modules ## formatting, clippy, arrows between crates, the page's lint
	.ci/lint

bench: setup-bench $(PAGE) ## Pitwall beside its peers, three quarters of an hour (ARGS="all --quick": minutes; ARGS=--help)
	cargo build --release --package pitwall --package pitwall-benches
	target/release/pitwall-benches $(or $(ARGS),all)

bench-hls: setup ## criterion over the playlist code
	cargo bench --package pitwall-benches

conformance: setup-conformance $(PAGE) ## real packagers x Pitwall x real players, hours (ARGS="--player mpv --scenario restart": a part; ARGS=--list)
	.ci/tools
	cargo build --package pitwall
	node conformance/run.mjs $(ARGS)

fuzz: setup ## every fuzz target for a minute (FUZZ_SECONDS=600 for longer)
	fuzz/run $(or $(FUZZ_SECONDS),60)

setup:
	@.ci/setup build

setup-test:
	@.ci/setup test

setup-bench:
	@.ci/setup bench

setup-conformance:
	@.ci/setup conformance

page: $(PAGE)

frontend/node_modules: frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund
	touch $@

$(PAGE): frontend/node_modules $(shell find frontend/src frontend/static -type f 2>/dev/null) $(wildcard frontend/*.js frontend/*.ts frontend/*.json)
	cd frontend && npm run build
	touch $@
