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
	alive loom fuzz deny tools

help:
	@echo "make demo          import real weather data, show it, survive a kill"
	@echo "make test          all tests (at most 30 minutes on 2 cores)"
	@echo "make check         formatting, lints and documentation, warnings denied"
	@echo "make bench         every bar that takes seconds or a few minutes"
	@echo "make bars ISSUE=n  every bar of issue n, a line each: name value unit target ok|short"
	@echo "make crash-long    1,000,000 crash states"
	@echo "make sigkill-long  2,000 rounds of SIGKILL"
	@echo "make bit-flips     every single-bit flip of a file, every byte of one with encoded columns"
	@echo "make canaries      planted bugs: does the suite catch each?"
	@echo "make alive         arrays read after what they came from is gone, under a sanitizer"
	@echo "make loom          readers beside the writer of the index, every interleaving"
	@echo "make fuzz          hostile files, FUZZ_SECONDS=600 for each target"
	@echo "make deny          licences, duplicates, sources, known advisories"
	@echo "make tools         cargo-deny, into .tools/"

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
	SYNADB_FLIP_STEP=1 $(CARGO) test --release --features "$(FEATURES)" --test bit_flips -- --nocapture

canaries:
	CARGO="$(CARGO)" bash tests/canaries.sh

alive:
	CARGO="$(CARGO)" bash tests/alive.sh

# A target folder of its own: everything is built with another --cfg. Two preemptions take some
# twenty seconds, three many minutes.
LOOM_PREEMPTIONS ?= 2
loom:
	LOOM_MAX_PREEMPTIONS=$(LOOM_PREEMPTIONS) RUSTFLAGS="--cfg loom" $(CARGO) test --release --lib \
		--target-dir target/loom -- loom_tests

# Without a sanitizer and without cargo-fuzz: libFuzzer's mutations on a stable toolchain. With
# cargo-fuzz installed, `cargo fuzz run TARGET -s none` adds coverage.
# The coverage that guides the fuzzer, without cargo-fuzz and its nightly compiler. A target is
# named so that build scripts are compiled without it.
FUZZ_RUSTFLAGS := --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
	$(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)
FUZZ_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
fuzz:
	cd fuzz && for target in open_file chunk column; do \
		mkdir -p corpus/$$target && RUSTFLAGS="$(FUZZ_RUSTFLAGS)" $(CARGO) run --release \
			--target $(FUZZ_TARGET) --bin $$target -- corpus/$$target \
			-max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=2048 || exit 1; done

# Advisories come from a database that is fetched; the rest needs nothing but Cargo.lock.
deny: tools
	$(CARGO) deny check bans licenses sources
	$(CARGO) deny check advisories

tools: $(TOOLS)/bin/cargo-deny

# Its own target folder is removed again: it is larger than everything else here.
$(TOOLS)/bin/cargo-deny:
	CARGO_TARGET_DIR="$(TOOLS)/build" $(CARGO) install --locked --root "$(TOOLS)" cargo-deny
	rm -rf "$(TOOLS)/build"
