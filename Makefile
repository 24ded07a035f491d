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

.PHONY: help demo ports spark test test-docker fuzz soak bench lint format lock clean
.DEFAULT_GOAL := demo

# To run the demo takes part of the lock, `.ready`; Spark with its Java, and the tools of tests, are
# added by `.complete`, and then stay.
RUNNABLE := $(or $(wildcard $(VENV)/.complete),$(VENV)/.ready)

# A line on standard error, with its time where that is a log.
say = if [ -t 2 ]; then echo "$(1)" >&2; else echo "$$(date -u +%Y-%m-%dT%H:%M:%SZ) $(1)" >&2; fi
# Does something with $$python, the first that fits; fails where none does.
with_python = for python in $(PYTHON); do $$python -c '$(FITS)' 2>/dev/null && { $(1); exit; }; done
# A step with a title and a command, in words of ours that a Python without any package can read.
step = PYTHONPATH=src $(1) -m songswap.dev.stack.installing "$(2)"
# Refuses what is not in the lock, or not with this hash. With bytecode: without it every Airflow
# process starts 3 s later.
install = $(call step,$(BIN)/python,$(1)) $(BIN)/uv pip install --python $(BIN)/python \
  --compile-bytecode --require-hashes --build-constraint requirements.lock

$(BIN)/uv: requirements.lock
	@test -x $(BIN)/python || { \
	  $(call with_python,$(call step,$$python,Making $(VENV) with $$python) $$python -m venv $(VENV)); \
	  echo "This needs Python $(lastword $(SUPPORTED)) to $(firstword $(SUPPORTED)) with its module venv (Debian: python3-venv), and none of these is one: $(PYTHON). Install it, or name it with make PYTHON=/path/to/python" >&2; \
	  exit 2; }
	@$(call step,$(BIN)/python,Getting uv) $(BIN)/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

# Exact: what has left the lock goes.
$(VENV)/.ready: $(BIN)/uv pyproject.toml
	@$(call install,Installing what the demo needs: about a minute) --exact \
	  --constraint requirements.lock --requirements pyproject.toml --extra airflow --extra local
	@$(call step,$(BIN)/python,Installing songswap) $(BIN)/uv pip install --quiet --python $(BIN)/python \
	  --no-deps --build-constraint requirements.lock --editable .
	@touch $@

# Only adds: a demo may be running.
$(VENV)/.complete: $(VENV)/.ready
	@$(call install,Adding Spark and the tools of tests: about a minute) --no-deps --requirements requirements.lock
	@touch $@

help: ## these lines
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1:/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS=: read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done
	@echo '  Options of the command: make demo ARGS="--once --users 200"'

# Before anything is installed; later the demo itself finds out.
ports:
	@test -e $(RUNNABLE) || { $(call say,Preparing the demo); \
	  $(call with_python,PYTHONPATH=src $$python -m songswap.dev.stack.ports); true; }

demo: ports $(RUNNABLE) ## run all of it on this machine; make alone does the same
	@exec $(BIN)/songswap demo $(ARGS)

spark: $(VENV)/.complete ## run a Spark cluster on this machine
	@exec $(BIN)/songswap spark up $(ARGS)

# Two at a time: most tests wait for other processes.
test: $(VENV)/.complete ## run all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

# Not a part of `test`: it wants root and Debian's packages, or a Docker engine; see CONTRIBUTING.md.
test-docker: $(VENV)/.complete ## run the deployment on Docker; see CONTRIBUTING.md
	@$(BIN)/python -m pytest tests/containers --exitfirst --verbose --capture=no $(ARGS)

MINUTES ?= 10
fuzz: $(VENV)/.complete ## run the tests of properties for MINUTES=10, fresh seeds
	@exec $(BIN)/python tests/fuzz.py --minutes $(MINUTES) $(ARGS)

soak: $(RUNNABLE) ## live through days of faults; see docs/reliability.md
	@exec $(BIN)/python -m songswap.dev.soak $(ARGS)

bench: $(VENV)/.complete ## measure what an hour costs; see docs/performance.md
	@exec $(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/.complete ## find what is wrong with the code's form, types and imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml

format: $(VENV)/.complete ## bring the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# One for all systems and versions from 3.11.0 on (Debian's is 3.11.2): what only some need has a marker.
lock: $(BIN)/uv ## choose the versions of all packages anew
	@$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-strip-extras pyproject.toml --output-file requirements.lock

clean: ## remove .venv and caches; the demo's .songswap stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
