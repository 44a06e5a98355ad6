# What one does with this repository, by name. Needs a Rust toolchain, Python 3.10+ and a C
# compiler; benches/README.md says what each bar measures.

CARGO ?= cargo
# Optional tools are installed here, never outside of the repository.
TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(PATH)

# The number with which the title of the issue begins whose bars are measured.
ISSUE ?= 1
# More arguments of the bars, for example ARGS="--only append_os".
ARGS ?=
FEATURES ?= synadb/cli

.DEFAULT_GOAL := help
# How long each fuzz target runs.
FUZZ_SECONDS ?= 600

.PHONY: help demo test check fmt clippy doc bench bars crash-long sigkill-long bit-flips canaries \
	loom fuzz deny tools header install

help:
	@echo "make demo          import real weather data, show it, survive a kill"
	@echo "make test          all tests (at most 30 minutes on 2 cores)"
	@echo "make check         formatting, lints and documentation, warnings denied"
	@echo "make bench         every bar that takes seconds or a few minutes"
	@echo "make bars ISSUE=n  every bar of issue n, a line each: name value unit target ok|short"
	@echo "make crash-long    1,000,000 crash states"
	@echo "make sigkill-long  2,000 rounds of SIGKILL"
	@echo "make bit-flips     every single-bit flip of a file"
	@echo "make canaries      planted bugs: does the suite catch each?"
	@echo "make loom          readers beside the writer of the index, every interleaving"
	@echo "make fuzz          hostile files, FUZZ_SECONDS=600 for each target"
	@echo "make deny          licences, duplicates, sources, known advisories"
	@echo "make header        include/synadb.h from the sources of capi/"
	@echo "make install       the C library and its headers, PREFIX=/usr/local DESTDIR="
	@echo "make tools         cargo-deny and cbindgen, into .tools/"

demo:
	$(CARGO) run --release --features cli --example demo

# Plain `cargo test`, so that only a Rust toolchain is needed. A test that wants an optional tool
# prints `skipped: <tool> (<how to install it>)`; with SYNADB_REQUIRE_ALL=1 it fails instead.
test:
	$(CARGO) test --workspace --features "$(FEATURES)"

check: fmt clippy doc

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --features "$(FEATURES)" -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --features "$(FEATURES)"

bench:
	$(CARGO) run --release -p synadb-bars -- --skip-long $(ARGS)

bars:
	$(CARGO) run --release -p synadb-bars -- --issue $(ISSUE) $(ARGS)

crash-long:
	SYNADB_CRASH_STATES=1000000 $(CARGO) test --release --features "$(FEATURES)" --test crash \
		-- --nocapture

sigkill-long:
	SYNADB_SIGKILL_ROUNDS=2000 $(CARGO) test --release --features "$(FEATURES)" --test sigkill \
		-- --nocapture

bit-flips:
	$(CARGO) test --release --features "$(FEATURES)" --test bit_flips -- --nocapture

canaries:
	CARGO="$(CARGO)" bash tests/canaries.sh

# A target folder of its own: everything is built with another --cfg. Two preemptions take some
# twenty seconds, three many minutes.
LOOM_PREEMPTIONS ?= 2
loom:
	LOOM_MAX_PREEMPTIONS=$(LOOM_PREEMPTIONS) RUSTFLAGS="--cfg loom" $(CARGO) test --release --lib \
		--target-dir target/loom -- loom_tests

# Without a sanitizer and without cargo-fuzz: libFuzzer's mutations on a stable toolchain. With
# cargo-fuzz installed, `cargo fuzz run TARGET -s none` adds coverage.
fuzz:
	cd fuzz && for target in open_file chunk column; do \
		$(CARGO) run --release --bin $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

# Advisories come from a database that is fetched; the rest needs nothing but Cargo.lock.
deny: tools
	$(CARGO) deny check bans licenses sources
	$(CARGO) deny check advisories

header: $(TOOLS)/bin/cbindgen
	cd capi && cbindgen --quiet --config cbindgen.toml --crate synadb-capi --output ../include/synadb.h

# Shared library with a soname and links, static library, headers, pkg-config, CMake.
PREFIX ?= /usr/local
DESTDIR ?=
install:
	$(CARGO) build --release --package synadb-capi
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" sh capi/install/install.sh

tools: $(TOOLS)/bin/cargo-deny $(TOOLS)/bin/cbindgen

# Its own target folder is removed again: it is larger than everything else here.
$(TOOLS)/bin/cargo-deny:
	CARGO_TARGET_DIR="$(TOOLS)/build" $(CARGO) install --locked --root "$(TOOLS)" cargo-deny
	rm -rf "$(TOOLS)/build"

# Of a fixed version: another one might write the header otherwise.
$(TOOLS)/bin/cbindgen:
	CARGO_TARGET_DIR="$(TOOLS)/build" $(CARGO) install --locked --root "$(TOOLS)" cbindgen@0.29.4
	rm -rf "$(TOOLS)/build"
