# Two commands on a fresh machine (Linux, Python 3.11-3.14 with venv and pip): `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Python 3.11 to 3.14: the .venv that is there, else the first of these that has all that venv needs
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import venv, ensurepip; $(SUITS)' 2>/dev/null && echo $$p && break; done)
BASE = $(or $(wildcard $(BIN)/python),$(PYTHON))
ADVICE = $(if $(wildcard $(BIN)/python),remove it (make clean) and run this again,name \
	one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13)
PIP := $(BIN)/python -m pip --disable-pip-version-check
REQUIREMENTS := requirements
# what pip would compile on one core is compiled on all of them
INSTALL := $(PIP) install --quiet --no-compile --no-build-isolation --constraint $(REQUIREMENTS)/constraints.txt
# all but the tests of packages, which carry files of other Pythons, too, that cannot be compiled, and the models of
# transformers, of which a run imports one in a hundred
NOT_COMPILED := /tests/|/torch/testing/_internal/|/transformers/models/
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '$(NOT_COMPILED)' $(VENV)/lib || true
# two test processes, each with one thread: on two cores that is faster than one process with two threads; each
# takes a file at a time, so that what the tests of a file share is made once
TEST_PROCESSES := $(shell [ "$$(nproc)" -ge 2 ] && echo 2 || echo 0)
ARGS ?=
# photos, boxes and sentences without a mask, for `make app`
APP_DATA := data/app_photos

.DEFAULT_GOAL := help
.PHONY: help install test test-all test-weights lint format docs app demo demo-lavt demo-instances experiment transfer shipped-weights check-pythons clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv and install everything, at the versions of requirements/constraints.txt

# Files that decide what is installed. An existing .venv is brought up to date, never made anew.
$(STAMP): setup.py pyproject.toml $(wildcard $(REQUIREMENTS)/*.txt)
	@"$(BASE)" -c '$(SUITS)' 2>/dev/null || { \
	  echo "error: found $$('$(BASE)' -V 2>/dev/null || echo none)$(if $(BASE), at $(BASE)),"\
	    'expected Python 3.11 to 3.14 with venv and pip; $(ADVICE)' >&2; \
	  exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV) (takes a few minutes the first time) ...'
	@$(INSTALL) --requirement $(REQUIREMENTS)/build.txt
# torch by itself and first: what comes after finds it installed and does not look for another build of it
	@$(INSTALL) torch
# and is compiled while the rest is fetched
	@{ $(COMPILE); } & \
	$(INSTALL) --requirement $(REQUIREMENTS)/runtime.txt --requirement $(REQUIREMENTS)/mminstall.txt \
	  --requirement $(REQUIREMENTS)/tests.txt --requirement $(REQUIREMENTS)/docs.txt; \
	code=$$?; wait; exit $$code
	@$(INSTALL) --no-deps --editable .
	@$(COMPILE)
	@touch $@
	@echo 'installed; source $(VENV)/bin/activate puts mmrefseg on the path'

test: install ## lint and run the whole test suite (make test ARGS="-k codec")
	@$(MAKE) --no-print-directory lint
# without a network the tests that need them are skipped; CI wants them
	@$(MAKE) --no-print-directory test-weights || [ -z "$$CI" ]
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) \
	  --dist loadfile --no-loadscope-reorder --durations 20 $(ARGS)

test-all: install ## the same, with every encoder of docs/encoders.md instead of a sample, and longer trainings
	@MMREFSEG_TEST_ALL=1 $(MAKE) --no-print-directory test

test-weights: install ## fetch published weights for tests and experiments, 110 MB, once, into data/test_weights
	@$(BIN)/python tools/misc/fetch_test_weights.py

lint: install ## ruff check and ruff format --check
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

format: install ## mend what ruff can mend, and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: install ## the documents as a site, in work_dirs/site; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)
	@echo 'open work_dirs/site/index.html'

demo: install ## the main job on RefShapes: few masks, pseudo masks, a table and pictures in work_dirs/demo
	@$(BIN)/python tools/run_demo.py $(ARGS)

app: install ## the app in a browser, on the photos of the demo (make app ARGS="--data my_photos")
	@test -n '$(findstring --data,$(ARGS))' || test -d $(APP_DATA) || \
	  $(BIN)/python demo/app_photos.py $(APP_DATA)
	@$(BIN)/mmrefseg app $(if $(findstring --data,$(ARGS)),,--data $(APP_DATA)) $(ARGS)

demo-lavt: install ## late LAVT on RefShapes: train, four protocols, failures, in work_dirs/demo-lavt
	@$(BIN)/python tools/run_lavt_demo.py $(ARGS)

demo-instances: install ## Mask R-CNN on RefShapes: train, AP of boxes and masks, pictures, in work_dirs/demo-instances
	@$(BIN)/python tools/run_instances_demo.py $(ARGS)

experiment: install ## the paper's table in small, resumable, in work_dirs/experiment
	@$(BIN)/python tools/run_experiment.py $(ARGS)

transfer: install ## what published weights add, resumable (make transfer ARGS=words), in work_dirs/experiment/transfer
	@$(BIN)/python tools/run_transfer.py $(ARGS)

check-pythons: install ## ask the package index: do all pins install on every Python that is accepted?
	@$(BIN)/python $(REQUIREMENTS)/check_pythons.py $(ARGS)

shipped-weights: install ## make the weights inside the package anew: train, score, write (about half an hour)
	@$(BIN)/python tools/model_converters/make_shipped_weights.py $(ARGS)

clean: ## remove .venv, build outputs and caches; data/ and work_dirs/ stay
	rm -rf $(VENV) build dist *.egg-info mmrefseg/.mim .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +
