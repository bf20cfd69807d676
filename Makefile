# Two commands matter: `make demo` (a live atlas) and `make test`.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
export HF_HUB_OFFLINE ?= 1
export HF_DATASETS_OFFLINE ?= 1
export TRANSFORMERS_OFFLINE ?= 1

.PHONY: help install demo test demo-test lint docs bench clean

help:
	@echo "make demo    a live atlas in Neo4j, from nothing"
	@echo "make test    unit and integration tests (against a managed Neo4j)"
	@echo "make demo-test what the documentation shows, on a demo atlas of its own"
	@echo "make lint    style, types and import contracts"
	@echo "make docs    the documentation site, into build/site"
	@echo "make bench   benchmarks, as JSON"
	@echo "make install the virtual environment alone"
	@echo "make clean   remove what make made (not the atlas in your data folder)"

install: $(STAMP)

# uv installs the same locked versions several times faster than pip; it is used where it is.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
	  echo "installing requirements.lock with uv"; \
	  VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --require-hashes -r requirements.lock; \
	else \
	  echo "installing requirements.lock with pip (a few minutes)"; \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; \
	fi
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: install
	$(BIN)/atlas demo

# Test files are shared out to two processes, each with a database of its own, in the order of
# tests/conftest.py, so that both processes end together.
test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests

# What the pages show, on a demo atlas of its own: commands, code and notebooks.
DEMO_HOME := $(CURDIR)/build/demo
demo-test: install
	ATLAS_HOME="$(DEMO_HOME)" $(BIN)/atlas demo
	ATLAS_DEMO_HOME="$(DEMO_HOME)" OMP_NUM_THREADS=2 $(BIN)/python -m pytest tests/demo; \
	  code=$$?; ATLAS_HOME="$(DEMO_HOME)" $(BIN)/atlas db stop; exit $$code

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A broken link or a page that the navigation does not name is an error (not with --quiet, which
# hides warnings from --strict).
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: install
	@for name in $$(cd benchmarks && ls *.py | sed 's/\.py$$//' | grep -v '^_'); do \
	  $(BIN)/python -m benchmarks.$$name --json || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
