# `make demo` and `make test` are all a newcomer needs: each prepares what it uses.
# ARGS goes to the command below, for example: make demo ARGS="--once --users 200"

SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
ARGS ?=

# The shell's settings for Python must not slow the stack down or leak into it.
export PYTHONDONTWRITEBYTECODE :=
unexport PYTHONPATH PYTHONHOME

.PHONY: demo test soak bench picture lint format lock clean
.DEFAULT_GOAL := demo

# Installs exactly the lock, with bytecode: without it every Airflow process starts 3 s later.
# Of uv's words only the phases are shown, not the two hundred packages.
$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "This needs Python 3.11 as '$(PYTHON)': install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Installing the locked dependencies into $(VENV): about a minute, downloading first …" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" >&2
	@set -o pipefail; $(BIN)/uv pip sync --python $(BIN)/python --compile-bytecode --require-hashes \
	  requirements.lock 2>&1 | grep --line-buffered -v '^ [-+~] ' >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . >&2
	@touch $@

demo: $(VENV)/.ready
	@exec $(BIN)/songswap demo $(ARGS)

# Two at a time: most tests wait for other processes.
test: $(VENV)/.ready
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

soak: $(VENV)/.ready
	@exec $(BIN)/python -m songswap.soak $(ARGS)

bench: $(VENV)/.ready
	@exec $(BIN)/python -m benchmarks $(ARGS)

picture: $(VENV)/.ready
	@exec $(BIN)/python docs/picture/draw_tables.py

lint: $(VENV)/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yaml

format: $(VENV)/.ready
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# For any 3.11, the oldest included: Debian's own is 3.11.2.
lock: $(VENV)/.ready
	@$(BIN)/uv pip compile --quiet --all-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-strip-extras pyproject.toml --output-file requirements.lock

clean:
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
