# Everything a user or developer types. `make` alone prints this list.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= resnet50
BACKEND ?=
DEVICE ?= cpu
COUNT ?= 100
SEED ?= 7
DURATION ?= 600
# A base is pulled where a registry answers; elsewhere it is made from the Debian mirror, and the build says so.
BUILD_FLAGS ?= --bootstrap-base

# Replace the lines between two markers of a page by a file: $(call between,MARKER,FILE,PAGE)
between = sed --in-place --expression '/<!-- $(1) -->/r $(2)' \
  --expression '/<!-- $(1) -->/,/<!-- \/$(1) -->/{/<!--/!d}' $(3)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(VENV)/.host ## make .venv with the mlperf-docker command

$(VENV)/.host: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable .
	$(BIN)/python -m compileall -q mlperf_docker
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.host
	$(BIN)/pip install --quiet --group dev --group harness
	@touch $@

.PHONY: engine
engine: $(VENV)/.host ## check the Docker engine; as root on Debian or Ubuntu, install and start one if there is none
	$(BIN)/python -m mlperf_docker.maintenance.bringup

.PHONY: demo
demo: engine ## from nothing to a report: image, performance run and accuracy run on synthetic data
	$(BIN)/mlperf-docker build resnet50 $(BUILD_FLAGS)
	$(BIN)/mlperf-docker run resnet50 --synthetic tiny --scenario Offline --min-duration 5
	$(BIN)/mlperf-docker run resnet50 --synthetic tiny --scenario Offline --mode accuracy
	@echo
	$(BIN)/mlperf-docker results list
	@echo
	$(BIN)/mlperf-docker results report

.PHONY: image
image: engine ## build one image: make image MODEL=resnet50 BACKEND=onnxruntime DEVICE=cpu
	$(BIN)/mlperf-docker build $(MODEL) $(if $(BACKEND),--backend $(BACKEND)) --device $(DEVICE) $(BUILD_FLAGS)

.PHONY: dockerfiles
dockerfiles: $(VENV)/.host ## render dockerfiles/ from images.yaml and templates/
	$(BIN)/mlperf-docker render

.PHONY: commands
commands: $(VENV)/.host ## write docs/commands.md from the command line itself
	$(BIN)/python -m mlperf_docker.cli.reference

.PHONY: lock
lock: $(VENV)/.dev ## resolve locks/ anew from images.yaml, and record the bases' digests in it
	$(BIN)/mlperf-docker lock

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy, hadolint, actionlint, and committed Dockerfiles against their templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint --config .hadolint.yaml $$(git ls-files 'dockerfiles/*.Dockerfile')
	$(BIN)/actionlint
	$(BIN)/mlperf-docker render --check

.PHONY: test
test: $(VENV)/.dev engine ## the whole test suite, with a real engine
	$(BIN)/python -m pytest

.PHONY: kills
kills: $(VENV)/.dev engine ## signals at random moments of a run and of a campaign, an engine gone at any request, nodes of Slurm killed: make kills COUNT=100 SEED=7
	MLPERF_TEST_LONG=1 MLPERF_TEST_KILLS=$(COUNT) MLPERF_TEST_SEED=$(SEED) \
	  $(BIN)/python -m pytest -s --timeout=0 tests/cells/test_kills.py tests/cells/test_campaign.py tests/cells/test_engine_gone.py \
	    tests/cells/test_slurm.py tests/clusters/slurm

.PHONY: fuzz
fuzz: $(VENV)/.dev ## mutate catalog, data, model files, results, caches: make fuzz SEED=7 DURATION=600
	$(BIN)/python -m tests.fuzz --seed $(SEED) --seconds $(DURATION)

.PHONY: evidence
evidence: engine ## run every cell for the CPU, put on record what came of it, and bring the README's table up to date
	$(BIN)/mlperf-docker evidence --bootstrap-base
	$(MAKE) coverage

.PHONY: coverage
coverage: $(VENV)/.host ## write the README's table out of evidence.json
	$(BIN)/mlperf-docker list --markdown > .coverage.md
	$(call between,coverage,.coverage.md,README.md)
	rm .coverage.md

.PHONY: bench
bench: $(VENV)/.dev engine ## measure ratios against bare loops; prints a table, writes bench.json and docs/performance.md
	$(BIN)/python -m benchmarks --markdown .bench.md
	$(call between,bench,.bench.md,docs/performance.md)
	rm .bench.md

.PHONY: clean
clean: ## remove what make made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist bench.json fuzz-found
