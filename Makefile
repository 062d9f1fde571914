# Every target installs what it needs. `make help` tells what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

STATE := .modelstack
TOOLS := $(STATE)/tools
UV_VERSION := 0.13.9
# A registry that re-signs TLS is trusted through the system's certificates.
export UV_NATIVE_TLS := true
export UV_LINK_MODE ?= hardlink
# Once, rather than by whoever imports first: every preview would wait for it where nobody may write (PYTHONDONTWRITEBYTECODE).
export UV_COMPILE_BYTECODE := 1
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

STACK ?= dev
MODELSTACK := .venv/bin/modelstack
PYTEST := .venv/bin/pytest
# What became of each test, one file for each run of pytest: `.ci/run` counts them.
RESULTS := $(STATE)/results
SOURCES := __main__.py clients common components delivery infra local workloads tests

.PHONY: help up down status check check-tests test lint style types types-workloads types-serving format \
	e2e e2e-full chaos e2e-clone e2e-here clone-down down-here bench bench-scale bench-start environments setup hosttools

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: setup ## everything, from tools to a prediction; run it again after any interruption
	@$(MODELSTACK) up --stack $(STACK)

down: setup ## destroy the environment; nothing stays but caches
	@status=0; $(MAKE) --no-print-directory clone-down || status=$$?; $(MODELSTACK) down --stack $(STACK) || status=$$?; exit $$status

status: setup ## what runs, since when, from which run and data
	@$(MODELSTACK) status

check: environments ## lint, types, unit, component and stack tests, in less than a minute: to run all day
	@$(PARALLEL) -j3 $(LINTERS) check-tests

test: environments ## the same and all other tests that need no cluster: of the engine, of training and of serving
	@$(MAKE) --no-print-directory lint
	@$(MODELSTACK) tools
	@$(PYTEST) --junitxml $(RESULTS)/test.xml -n 2 --dist loadfile --ignore tests/e2e --ignore tests/training --ignore tests/serving --ignore tests/bench tests
	@$(STATE)/venv-training/bin/pytest --junitxml $(RESULTS)/test-training.xml tests/training
	@$(STATE)/venv-serving/bin/pytest --junitxml $(RESULTS)/test-serving.xml tests/serving

lint: environments ## ruff and pyright
	@$(PARALLEL) -j2 $(LINTERS)

# The longest first: the others run beside it.
LINTERS := types types-workloads types-serving style
# What they say is shown when each is done, so that it is not mixed.
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

format: setup ## put the code in order
	@.venv/bin/ruff check --fix . || true
	@.venv/bin/ruff format .

e2e: e2e-clone ## the product on the embedded cluster, as its user sees it; in a clone, and nothing of it stays up
	@$(IN_CLONE) e2e-here

e2e-full: e2e-clone ## what takes longer than that: `chaos` as well, and the long property tests
	@MODELSTACK_EXAMPLES=10000 $(PYTEST) --junitxml $(RESULTS)/properties.xml tests/unit/infra/promotion/test_sequences.py
	@$(IN_CLONE) e2e-here SELECTED=

chaos: e2e-clone ## what kill -9 and restarts do to the product and to a node; in the same clone
	@$(IN_CLONE) e2e-here SELECTED="-m chaos"

# These tests edit stack files and lists of approvers. They do so in a clone, with an environment of its own: the files of this
# checkout stay as they are, also when a run is killed. What is built is found in the user's cache; layers of images are kept
# there from one run to the next.
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

# What a run that was killed has left up in the clone.
clone-down:
	@if [ -e $(CLONE)/$(STATE)/node ] || [ -e $(CLONE)/$(STATE)/state ]; then $(IN_CLONE) down-here; fi

# Stage and prod first: they live in the cluster of dev.
down-here: setup
	@for stack in prod stage; do \
		if [ -e $(STATE)/state/.pulumi/stacks/modelstack/$$stack.json ]; then $(MODELSTACK) down --stack $$stack; fi; \
	done; $(MODELSTACK) down --stack $(STACK)

bench: setup ## the figures in one table
	@$(MODELSTACK) up --stack $(STACK)
	@.venv/bin/python -m tests.bench

bench-scale: setup ## many workloads in one stack: previews and updates beside bare resources; needs no environment
	@$(MODELSTACK) tools
	@.venv/bin/python -m tests.bench.scale $(WORKLOADS)

bench-start: setup ## how long everything takes from empty caches, in a clone; about an hour, and no environment may be up
	@.venv/bin/python -m tests.bench.start

# Those that training and serving code is checked and tested in, too.
environments: setup $(STATE)/venv-training/.synced $(STATE)/venv-serving/.synced

setup: .venv/.synced ## uv and the environment of the commands

.venv/.synced: uv.lock pyproject.toml | hosttools
	@uv sync --frozen --quiet || { echo "  do:    see that PyPI, or the mirror that uv is set up for, can be reached; then run make again" >&2; exit 1; }
	@touch $@

$(STATE)/venv-training/.synced: uv.lock | hosttools
	@UV_PROJECT_ENVIRONMENT=$(STATE)/venv-training uv sync --frozen --quiet --no-default-groups --group training --group check
	@touch $@

$(STATE)/venv-serving/.synced: uv.lock | hosttools
	@UV_PROJECT_ENVIRONMENT=$(STATE)/venv-serving uv sync --frozen --quiet --no-default-groups --group serving --group check
	@touch $@

# What the machine itself must have: packages of Debian or Ubuntu where they are missing and we are root; uv and Go from PyPI.
hosttools:
	@UV_VERSION=$(UV_VERSION) local/hosttools.sh $(TOOLS)
