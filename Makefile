# Each target installs the tools that it needs. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

STATE := .modelstack
TOOLS := $(STATE)/tools
UV_VERSION := 0.13.9
# uv uses the system's certificates, so that it trusts a package registry behind a proxy that re-signs TLS.
export UV_NATIVE_TLS := true
export UV_LINK_MODE ?= hardlink
# uv compiles bytecode at installation. Otherwise imports compile it, and if PYTHONDONTWRITEBYTECODE forbids to store it, every
# preview compiles it again.
export UV_COMPILE_BYTECODE := 1
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

STACK ?= dev
MODELSTACK := .venv/bin/modelstack
PYTEST := .venv/bin/pytest
# The results of each run of pytest, one file per run: `.ci/run` counts the tests in them.
RESULTS := $(STATE)/results
SOURCES := __main__.py clients common components delivery infra local workloads tests

.PHONY: help up down status check check-tests test lint style types types-workloads types-serving format \
	e2e e2e-full chaos e2e-clone e2e-here clone-down down-here bench bench-scale bench-start venvs setup hosttools

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: setup ## create the environment: tools, cluster, platform, a model and a prediction; continues after an interruption
	@$(MODELSTACK) up --stack $(STACK)

down: setup ## destroy the environment; only caches remain
	@status=0; $(MAKE) --no-print-directory clone-down || status=$$?; $(MODELSTACK) down --stack $(STACK) || status=$$?; exit $$status

status: setup ## show what runs, since when, and the training run and data of each model
	@$(MODELSTACK) status

check: venvs ## lint, types, and the fast unit, component and stack tests
	@$(PARALLEL) -j3 $(LINTERS) check-tests

test: venvs ## all checks and tests that need no cluster, also those of the engine, of training and of serving
	@$(MAKE) --no-print-directory lint
	@$(MODELSTACK) tools
	@$(PYTEST) --junitxml $(RESULTS)/test.xml -n 2 --dist loadfile --ignore tests/e2e --ignore tests/training --ignore tests/serving --ignore tests/bench tests
	@$(STATE)/venv-training/bin/pytest --junitxml $(RESULTS)/test-training.xml tests/training
	@$(STATE)/venv-serving/bin/pytest --junitxml $(RESULTS)/test-serving.xml tests/serving

lint: venvs ## ruff and pyright
	@$(PARALLEL) -j2 $(LINTERS)

# The one that takes longest is first, so that the others run at the same time.
LINTERS := types types-workloads types-serving style
# The output of each target is printed when the target is done, so that outputs are not mixed.
PARALLEL := $(MAKE) --no-print-directory --output-sync=target

types:
	@.venv/bin/pyright

types-workloads:
	@.venv/bin/pyright -p workloads

types-serving:
	@.venv/bin/pyright -p workloads/serving

style:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

check-tests:
	@MODELSTACK_EXAMPLES=200 $(PYTEST) -q -n 2 --dist loadfile -m "not slow" tests/unit tests/components tests/stacks

format: setup ## format the code and apply the automatic fixes of ruff
	@.venv/bin/ruff check --fix . || true
	@.venv/bin/ruff format .

e2e: e2e-clone ## test the product on the embedded cluster, as its user sees it; in a clone with an environment of its own
	@$(IN_CLONE) e2e-here

e2e-full: e2e-clone ## run the long tests as well: e2e, chaos, and the property tests with more examples
	@MODELSTACK_EXAMPLES=10000 $(PYTEST) --junitxml $(RESULTS)/properties.xml tests/unit/infra/promotion/test_sequences.py
	@$(IN_CLONE) e2e-here SELECTED=

chaos: e2e-clone ## test how the product survives `kill -9` and restarts; in the same clone
	@$(IN_CLONE) e2e-here SELECTED="-m chaos"

# These tests edit stack files and lists of approvers. They run in a clone with an environment of its own, so the files of this
# checkout do not change, even if a run is killed. Builds come from the user's cache. The clone keeps the layers of its images
# from one run to the next.
CLONE := $(STATE)/clone
IN_CLONE = env -u PULUMI_BACKEND_URL -u PULUMI_CONFIG_PASSPHRASE -u PULUMI_CONFIG_PASSPHRASE_FILE -u VIRTUAL_ENV \
	$(MAKE) --no-print-directory -C $(CLONE) RESULTS=$(CURDIR)/$(RESULTS)
SELECTED := -m "not chaos"

e2e-clone: setup clone-down
	@.venv/bin/python -m tests.checkout $(CLONE)

e2e-here: setup
	@$(MODELSTACK) up --stack $(STACK)
	@status=0; $(PYTEST) --junitxml $(RESULTS)/e2e.xml tests/e2e $(SELECTED) --deselect tests/e2e/test_down.py || status=$$?; \
	$(PYTEST) --junitxml $(RESULTS)/e2e-down.xml tests/e2e/test_down.py || status=$$?; \
	$(MODELSTACK) down --stack $(STACK) || status=$$?; exit $$status

# Takes down what a killed run has left in the clone.
clone-down:
	@if [ -e $(CLONE)/$(STATE)/node ] || [ -e $(CLONE)/$(STATE)/state ]; then $(IN_CLONE) down-here; fi

# The stacks of the tour go first, because they are in the cluster of dev.
down-here: setup
	@for stack in tour-prod tour-stage; do \
		if [ -e $(STATE)/state/.pulumi/stacks/modelstack/$$stack.json ]; then $(MODELSTACK) down --stack $$stack; fi; \
	done; $(MODELSTACK) down --stack $(STACK)

bench: setup ## measure the product and print the figures in one table
	@$(MODELSTACK) up --stack $(STACK)
	@.venv/bin/python -m tests.bench

bench-scale: setup ## compare previews and updates of many workloads with those of bare resources; needs no environment
	@$(MODELSTACK) tools
	@.venv/bin/python -m tests.bench.scale $(WORKLOADS)

bench-start: setup ## measure a start with empty caches, in a clone; takes about an hour, and no environment may be up
	@.venv/bin/python -m tests.bench.start

# Also creates the virtual environments in which the training and serving code is checked and tested.
venvs: setup $(STATE)/venv-training/.synced $(STATE)/venv-serving/.synced

setup: .venv/.synced ## install uv, Go and the virtual environment of the commands

.venv/.synced: uv.lock pyproject.toml | hosttools
	@uv sync --frozen --quiet || { echo "  do:    check that PyPI, or the mirror that uv is configured for, can be reached; then run make again" >&2; exit 1; }
	@touch $@

$(STATE)/venv-training/.synced: uv.lock | hosttools
	@UV_PROJECT_ENVIRONMENT=$(STATE)/venv-training uv sync --frozen --quiet --no-default-groups --group training --group check
	@touch $@

$(STATE)/venv-serving/.synced: uv.lock | hosttools
	@UV_PROJECT_ENVIRONMENT=$(STATE)/venv-serving uv sync --frozen --quiet --no-default-groups --group serving --group check
	@touch $@

# The tools that the machine itself needs: missing Debian or Ubuntu packages, if the user is root; uv and Go from PyPI.
hosttools:
	@UV_VERSION=$(UV_VERSION) local/hosttools.sh $(TOOLS)
