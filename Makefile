# `make demo` and `make test` are all a newcomer needs: each prepares what it uses.
# ARGS goes to the command below, for example: make demo ARGS="--once --users 200"

SHELL := /bin/bash
# Newest first. A name is tried by running it: pyenv has one for every version, switched on or not.
SUPPORTED := 3.14 3.13 3.12 3.11
PYTHON ?= $(SUPPORTED:%=python%) python3
FITS := import sys, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] not in "$(SUPPORTED)".split())
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
ARGS ?=

# The shell's settings for Python must not slow the stack down or leak into it.
export PYTHONDONTWRITEBYTECODE :=
unexport PYTHONPATH PYTHONHOME

.PHONY: demo spark test test-docker fuzz soak bench picture lint format lock clean
.DEFAULT_GOAL := demo

# To run the demo takes part of the lock, `.ready`; Spark with its Java, and the tools of tests, are
# added by `.complete`, and then stay.
RUNNABLE := $(or $(wildcard $(VENV)/.complete),$(VENV)/.ready)

# Refuses what is not in the lock, or not with this hash. With bytecode: without it every Airflow
# process starts 3 s later. Of uv's words only the phases are shown, not the two hundred packages.
define install
@set -o pipefail; $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes \
  --build-constraint requirements.lock $(1) 2>&1 | grep --line-buffered -v '^ [-+~] ' >&2
endef

$(BIN)/uv: requirements.lock
	@test -x $(BIN)/python || { \
	  for python in $(PYTHON); do $$python -c '$(FITS)' 2>/dev/null && exec $$python -m venv $(VENV); done; \
	  echo "This needs Python $(lastword $(SUPPORTED)) to $(firstword $(SUPPORTED)) with its module venv (Debian: python3-venv), and none of these is one: $(PYTHON). Install it, or name it with make PYTHON=/path/to/python" >&2; \
	  exit 2; }
	@$(BIN)/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" >&2
	@touch $@

# Exact: what has left the lock goes.
$(VENV)/.ready: $(BIN)/uv pyproject.toml
	@echo "Installing what the demo needs into $(VENV): about a minute, downloading first …" >&2
	$(call install,--exact --constraint requirements.lock --requirements pyproject.toml \
	  --extra airflow --extra local)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraint requirements.lock --editable . >&2
	@touch $@

# Only adds: a demo may be running.
$(VENV)/.complete: $(VENV)/.ready
	@echo "Adding Spark and the tools of tests to $(VENV): about a minute, downloading first …" >&2
	$(call install,--no-deps --requirements requirements.lock)
	@touch $@

demo: $(RUNNABLE)
	@exec $(BIN)/songswap demo $(ARGS)

spark: $(VENV)/.complete
	@exec $(BIN)/songswap spark up $(ARGS)

# Two at a time: most tests wait for other processes.
test: $(VENV)/.complete
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

# Not a part of `test`: it wants root and Debian's packages, or a Docker engine; see CONTRIBUTING.md.
test-docker: $(VENV)/.complete
	@$(BIN)/python -m pytest tests/containers --exitfirst --verbose --capture=no $(ARGS)

MINUTES ?= 10
fuzz: $(VENV)/.complete
	@exec $(BIN)/python tests/fuzz.py --minutes $(MINUTES) $(ARGS)

soak: $(RUNNABLE)
	@exec $(BIN)/python -m songswap.soak $(ARGS)

bench: $(VENV)/.complete
	@exec $(BIN)/python -m benchmarks $(ARGS)

picture: $(RUNNABLE)
	@exec $(BIN)/python docs/picture/draw_tables.py

lint: $(VENV)/.complete
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml

format: $(VENV)/.complete
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# One for all systems and versions from 3.11.0 on (Debian's is 3.11.2): what only some need has a marker.
lock: $(BIN)/uv
	@$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-strip-extras pyproject.toml --output-file requirements.lock

clean:
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
