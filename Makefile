# One environment, made once: .venv. Everything below runs in it.
#   make setup PYTHON=/path/to/python3.11
#   make setup PIP_ARGS="--extra-index-url URL_OF_A_CPU_INDEX"

PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
PIP_ARGS ?=

# Parallel work is done by processes; a second layer of threads inside each only slows it down.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# -qq still prints errors. Bytecode is made as modules are first imported: a third of them ever is.
PIP_INSTALL = $(BIN)/python -m pip install -qq --no-compile -c constraints.txt $(PIP_ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup study studies test types tests bench golden clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

setup: .venv/.setup ## make .venv and install powerseek into it
	@echo "ready: $(BIN)/powerseek"

study: .venv/.setup ## run the quick study; again: resume it, or show the finished table
	@$(BIN)/powerseek sweep quick --out runs/quick --resume

# In this order a later one leans on what an earlier one found. Elsewhere: make studies SWEEP="--address HOST:PORT"
STUDIES ?= confound factorial price horizon longer commons dose budget door dropbox nuisance precaution steering learners library skill shift turn
studies: .venv/.setup ## run every study of docs/studies/README.md, or go on with them (hours)
	@for name in $(STUDIES); do \
	  $(BIN)/powerseek sweep $$name --out runs/$$name --resume $(SWEEP) || exit; done

# A file of tests at a time: what is slow to make is shared within one. Four processes on two cores: many wait for
# processes that they started. In the order of tests/conftest.py: by number of tests the few long ones would come
# last, alone.
test: .venv/.test ## lint, format, types and tests (the wheel's included)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(MAKE) -j2 types tests

# mypy has one process: beside it the tests use the other core.
types:
	@$(BIN)/mypy
tests:
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# Peers live in an environment of their own, which sees .venv and leaves it as it is; what fails to
# install is a line of the table. A shorter run, or a file: make bench BENCH="--quick --out FILE"
bench: .venv-bench/.made ## measure speed beside peers, in one table (ten minutes)
	@.venv-bench/bin/python -m benchmarks peers $(BENCH)

# BASE's code runs with this environment's libraries; its results stay in temporary folders.
golden: .venv/.test ## compare the rows of a tiny study with another commit's: make golden BASE=main
	@git worktree add --detach --force .golden $(or $(BASE),HEAD) >/dev/null 2>&1
	@$(BIN)/python tests/golden.py src .golden/src; code=$$?; \
	  git worktree remove --force .golden; exit $$code

clean: ## remove .venv, builds and caches (never runs/)
	rm -rf .venv .venv-bench build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.setup: pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "powerseek needs Python 3.11 or newer, and '$(PYTHON)' is not." >&2; \
	  echo "Write instead: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing powerseek into .venv (a few minutes the first time)"
	@$(PIP_INSTALL) -e .
	@echo "compiling worlds and learners (a minute, once)"
	@$(BIN)/powerseek compile
	@touch $@

.venv/.test: .venv/.setup
	@$(PIP_INSTALL) -e '.[test]'
	@touch $@

.venv-bench/.made: .venv/.setup benchmarks/peers/pinned.txt
	@$(BIN)/python -m benchmarks.peers.environment .venv-bench
	@touch $@
