# Every target sets up what it needs by itself: a clone, make and Python 3.11 or newer are enough.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
# A machine that keeps no bytecode compiles the engine at each start of a process, and the tests start thousands.
unexport PYTHONDONTWRITEBYTECODE
# Changes when the requirements do.
METADATA := setup.cfg pyproject.toml tools/venv
# Two pytest processes per core, four at most: a test that starts processes waits for them most of its time. Servers are
# tiny or shared, so each process may have its own.
WORKERS := $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
PYTEST := $(PYTHON) -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal
# Extra words for pytest: make test ARGS="-k journal"
ARGS ?=
# Percent of re_core's branches that the tests must take.
COVERAGE := 95

# What the image installs, for every Python and system that it may be built for; names no index.
LOCK := .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

.PHONY: help demo demo-dploy test check bench dev lint format types layers unit docs-diagram lock clean

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/run.stamp ## start the engine in one process and watch the example deployment
	@$(PYTHON) -m re_up.demo

demo-dploy: .venv/dploy.stamp ## push an app of three files, scale it, configure it, roll it back
	@$(PYTHON) -m re_up.demo_dploy

test: .venv/dev.stamp ## run the whole test suite, with the real services it can install or find
	@$(PYTEST) $(ARGS)

check: lint layers types ## lint, format, layers, types, then all tests with branch coverage of re_core
	@$(PYTEST) --cov --cov-report=term --cov-fail-under=$(COVERAGE) $(ARGS)

bench: .venv/run.stamp ## measure the engine beside the bare limits of this machine
	@$(PYTHON) -m benchmarks $(ARGS)

dev: .venv/dev.stamp ## set up .venv with everything for developers

unit: .venv/dev.stamp ## run the unit tests: seconds, no service; generated ones run with make test
	@$(PYTHON) -m pytest --quiet -p no:schemathesis -m "not hypothesis" tests/unit $(ARGS)

lint: .venv/dev.stamp ## look for mistakes and for lines that `make format` would change
	@$(PYTHON) -m ruff check --quiet .
	@out=$$($(PYTHON) -m ruff format --check . 2>&1) || { echo "$$out"; echo "make format does it" >&2; exit 1; }

format: .venv/dev.stamp ## order imports and lay out the code
	@$(PYTHON) -m ruff check --quiet --select I --fix .
	@$(PYTHON) -m ruff format --quiet .

types: .venv/dev.stamp ## check types, strictly
	@$(PYTHON) -m mypy --no-error-summary

layers: .venv/dev.stamp ## check that imports point down
	@out=$$(.venv/bin/lint-imports --no-logo 2>&1) || { echo "$$out" >&2; exit 1; }

docs-diagram: .venv/dev.stamp ## generate the pages of state machines from their tables
	@PYTHONPATH=. $(PYTHON) tools/state_diagram.py
	@PYTHONPATH=. $(PYTHON) tools/pipeline_diagram.py
	@PYTHONPATH=. $(PYTHON) tools/app_diagram.py
	@PYTHONPATH=. $(PYTHON) tools/zone_diagram.py

lock: .venv/run.stamp ## generate requirements.lock and packaging/build.lock, with the newest versions
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	@$(LOCK) --extra cdpm --extra dploy --extra forest --output-file requirements.lock setup.cfg
	@sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml | $(LOCK) --output-file packaging/build.lock -

clean: ## remove what the other targets made
	@rm -rf .venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache .demo *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run.stamp: $(METADATA)
	@tools/venv run
	@touch $@

.venv/dploy.stamp: $(METADATA)
	@tools/venv dploy
	@touch .venv/run.stamp $@

.venv/dev.stamp: $(METADATA)
	@tools/venv dev
	@touch .venv/run.stamp .venv/dploy.stamp $@
