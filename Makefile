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
	alive loom fuzz deny tools header install nanoarrow pyarrow clients threads-long python python-test \
	python-torch python-versions wheel sdist

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
	@echo "make header        include/synadb.h from the sources of capi/"
	@echo "make install       the C library and its headers, PREFIX=/usr/local DESTDIR="
	@echo "make threads-long  64 threads on every function of the C library, THREAD_SECONDS=600, twice"
	@echo "make nanoarrow     the C sources of nanoarrow, for tests and examples, into .tools/"
	@echo "make pyarrow       Arrow C++ as pyarrow brings it, for tests and examples, into .venv/"
	@echo "make tools         cargo-deny and cbindgen, into .tools/"
	@echo "make python        the Python package with all that its tests need, into .venv/"
	@echo "make python-test   the tests of the Python package (part of make test); PYTHON=python3.12"
	@echo "make python-versions  the same with every version of Python that is promised, as far as it is here"
	@echo "make python-torch  the same with PyTorch, for the system's Python (part of make test)"
	@echo "make wheel         the wheel, into target/wheels/"
	@echo "make sdist         the source distribution, into target/sdist/, installed and tried"

demo: python
	$(CARGO) run --release --features cli --example demo
	@echo
	@echo "== The weather in Polars and pandas"
	$(VENV)/bin/python examples/python/weather_to_polars.py $(CURDIR)/target/weather.png

# Plain `cargo test`, so that only a Rust toolchain is needed. A test that wants an optional tool
# prints `skipped: <tool> (<how to install it>)`; with SYNADB_REQUIRE_ALL=1 it fails instead.
test: rust-test python-test python-torch

.PHONY: rust-test
rust-test: clients
	$(CARGO) test --workspace --exclude synadb-python --features "$(FEATURES)"

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

# How long the threads call, in seconds; a part of `make test` for 20, and under each tool for 10.
THREAD_SECONDS ?= 600
threads-long:
	SYNADB_THREAD_SECONDS=$(THREAD_SECONDS) $(CARGO) test --package synadb-capi --test c_programs -- \
		--nocapture sixty_four
	SYNADB_THREAD_SECONDS=$(THREAD_SECONDS) SYNADB_PROGRAM=tests/c/threads.c $(CARGO) test \
		--package synadb-capi --test c_programs -- --nocapture nothing_is_found_by_the_sanitizers

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
	$(CARGO) deny --workspace check bans licenses sources
	$(CARGO) deny --workspace check advisories

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

# ---- Python ----------------------------------------------------------------------------------------

# Any CPython from 3.10 on, for example PYTHON=python3.12: what is named gets an environment of its own.
# All environments are made here and nothing is installed outside of them.
PYTHON ?= python3
ifneq ($(PYTHON),python3)
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("-%d.%d" % sys.version_info[:2])')
$(if $(PYTHON_VERSION),,$(error PYTHON=$(PYTHON) does not run))
endif
VENV := $(CURDIR)/.venv$(PYTHON_VERSION)
WHEELS := $(CURDIR)/target/wheels
PYTHON_SOURCES := $(shell find src python/src python/synadb -type f -name '*.rs' -o -type f -name '*.py*' \
	| grep -v __pycache__) Cargo.lock Cargo.toml python/Cargo.toml python/pyproject.toml python/README.md \
	python/requirements/build.txt
# The Python that Debian's python3-torch belongs to.
TORCH_PYTHON ?= /usr/bin/python3

$(VENV)/.tools-installed: python/requirements/build.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r python/requirements/build.txt
	touch $@

$(VENV)/.consumers-installed: $(VENV)/.tools-installed python/requirements/consumers.txt
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --prefer-binary \
		-r python/requirements/consumers.txt
	touch $@

# What C and C++ programs are tested with, besides the library.
NANOARROW := $(TOOLS)/nanoarrow
nanoarrow: $(NANOARROW)/.fetched
pyarrow: $(VENV)/.consumers-installed
clients: nanoarrow pyarrow

$(NANOARROW)/.fetched: $(VENV)/.tools-installed capi/tests/nanoarrow.txt capi/tests/nanoarrow.sh
	sh capi/tests/nanoarrow.sh $(VENV)/bin/python $(NANOARROW)
	touch $@

# One wheel for CPython 3.10 and later. What is built is what is tested, with every version, and shipped.
$(WHEELS)/.built: $(PYTHON_SOURCES) | $(VENV)/.tools-installed
	rm -rf $(WHEELS) && mkdir -p $(WHEELS)
	cd python && PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/maturin build --release --locked \
		-i $(VENV)/bin/python -o $(WHEELS)
	touch $@

wheel: $(WHEELS)/.built

$(VENV)/.synadb-installed: $(WHEELS)/.built $(VENV)/.consumers-installed
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-index --no-deps \
		--force-reinstall $(WHEELS)/synadb-*.whl
	touch $@

python: $(VENV)/.synadb-installed

# The bars of the C library count what its clients' tests find.
ifeq ($(ISSUE),3)
bars: clients
endif

# The bars of the package measure the wheel that is installed here.
ifeq ($(ISSUE),4)
bars: python
endif

python-test: python
	$(VENV)/bin/pytest -c python/pyproject.toml python/tests $(ARGS)

# The same wheel in every version that the documentation names, with the newest consumers that support it.
PYTHONS ?= python3.10 python3.11 python3.12 python3.13
python-versions:
	@for python in $(PYTHONS); do \
		if $$python -c "import venv" 2>/dev/null; then \
			echo "== $$($$python --version)" && $(MAKE) --no-print-directory python-test PYTHON=$$python || exit 1; \
		else \
			echo "skipped: $$python (install it, or name others by PYTHONS=)"; \
			test "$(SYNADB_REQUIRE_ALL)" != 1 || exit 1; \
		fi; \
	done

# What people without a wheel for their platform install; it is built as pip does it, and looked at.
# In a folder of its own: maturin would leave a second wheel beside the one that is tested.
sdist: $(VENV)/.tools-installed
	rm -rf target/sdist && cd python && $(VENV)/bin/maturin sdist -o $(CURDIR)/target/sdist
	$(PYTHON) -m venv target/sdist/venv
	CARGO_TARGET_DIR=$(CURDIR)/target/sdist-build target/sdist/venv/bin/pip install -q --disable-pip-version-check \
		target/sdist/synadb-*.tar.gz
	cd target/sdist && venv/bin/python $(CURDIR)/python/tests/alone_program.py

# The wheel needs no installing: it is unpacked beside Debian's PyTorch. Without that, this says so, and
# fails where every tool must be there.
python-torch: $(WHEELS)/.built
	@if ! $(TORCH_PYTHON) -c "import torch" 2>/dev/null; then \
		echo "skipped: torch for $(TORCH_PYTHON) (apt-get install python3-torch)"; \
		test "$(SYNADB_REQUIRE_ALL)" != 1; \
	else \
		rm -rf target/torch && $(TORCH_PYTHON) -m zipfile -e $(WHEELS)/synadb-*.whl target/torch && \
		PYTHONPATH=target/torch $(TORCH_PYTHON) python/tests/torch_program.py && \
		PYTHONPATH=target/torch $(TORCH_PYTHON) examples/python/features_for_torch.py; \
	fi
