# Each goal installs what it uses. ARGS goes to its command: make demo ARGS="--once --users 200"

SHELL := /bin/bash
# Newest first. Each is tried by running it: pyenv has a command for inactive versions too.
SUPPORTED := 3.14 3.13 3.12 3.11
PYTHON ?= $(SUPPORTED:%=python%) python3
FITS := import sys, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] not in "$(SUPPORTED)".split())
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
ARGS ?=

# The shell's Python settings must not slow the stack down or leak into it.
export PYTHONDONTWRITEBYTECODE :=
unexport PYTHONPATH PYTHONHOME

.PHONY: help demo ports spark test test-docker fuzz soak bench lint format lock clean
.DEFAULT_GOAL := demo

# The demo needs only a part of the lock (`.ready`); `.complete` adds Spark, its Java and the test
# tools for good.
RUNNABLE := $(or $(wildcard $(VENV)/.complete),$(VENV)/.ready)

# Prints a line on standard error, with the time if that is a log.
say = if [ -t 2 ]; then echo "$(1)" >&2; else echo "$$(date -u +%Y-%m-%dT%H:%M:%SZ) $(1)" >&2; fi
# Runs a command with $$python, the first that fits; fails if none does.
with_python = for python in $(PYTHON); do $$python -c '$(FITS)' 2>/dev/null && { $(1); exit; }; done
# Shows a title while a command runs. Works with a Python without packages.
step = PYTHONPATH=src $(1) -m songswap.dev.stack.installing "$(2)"
# Refuses what the lock lacks, or has with another hash. Compiled: otherwise every Airflow process
# starts 3 s later.
install = $(call step,$(BIN)/python,$(1)) $(BIN)/uv pip install --python $(BIN)/python \
  --compile-bytecode --require-hashes --build-constraint requirements.lock

$(BIN)/uv: requirements.lock
	@test -x $(BIN)/python || { \
	  $(call with_python,$(call step,$$python,Making $(VENV) with $$python) $$python -m venv $(VENV)); \
	  echo "This needs Python $(lastword $(SUPPORTED)) to $(firstword $(SUPPORTED)) with its module venv (Debian: python3-venv), and none of these is one: $(PYTHON). Install it, or name it with make PYTHON=/path/to/python" >&2; \
	  exit 2; }
	@$(call step,$(BIN)/python,Getting uv) $(BIN)/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

# Exact: removes what has left the lock.
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

help: ## show these lines
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1:/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS=: read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done
	@echo '  Options of the command: make demo ARGS="--once --users 200"'

# Checks the ports before anything is installed; later the demo does so itself.
ports:
	@test -e $(RUNNABLE) || { $(call say,Preparing the demo); \
	  $(call with_python,PYTHONPATH=src $$python -m songswap.dev.stack.ports); true; }

demo: ports $(RUNNABLE) ## run everything on this machine; the default of make
	@exec $(BIN)/songswap demo $(ARGS)

spark: $(VENV)/.complete ## run a Spark cluster on this machine
	@exec $(BIN)/songswap spark up $(ARGS)

# Two at a time: most tests wait for other processes.
test: $(VENV)/.complete ## run all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

# Not a part of `test`: it needs a Docker engine, or root and Debian's packages; see CONTRIBUTING.md.
test-docker: $(VENV)/.complete ## run the deployment on Docker; see CONTRIBUTING.md
	@$(BIN)/python -m pytest tests/containers --exitfirst --verbose --capture=no $(ARGS)

MINUTES ?= 10
fuzz: $(VENV)/.complete ## run the property tests for MINUTES=10 with new seeds
	@exec $(BIN)/python tests/fuzz.py --minutes $(MINUTES) $(ARGS)

soak: $(RUNNABLE) ## run a week under faults; see docs/reliability.md
	@exec $(BIN)/python -m songswap.dev.soak $(ARGS)

bench: $(VENV)/.complete ## measure an hourly load; see docs/performance.md
	@exec $(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/.complete ## check format, types, imports and configuration files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose*.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml

format: $(VENV)/.complete ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# One lock for all systems and versions from 3.11.0 on (Debian has 3.11.2), with markers.
lock: $(BIN)/uv ## choose the versions of all packages again
	@$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-strip-extras pyproject.toml --output-file requirements.lock

clean: ## remove .venv and caches; the demo's .songswap stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
