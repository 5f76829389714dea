# Two commands to start: `make run` and `make test`. README.md has the plain pip lines beside them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What `make bench` measures and beside what: ONLY is a regular expression over workloads, RIVALS the folder of rivals.
ONLY ?=
CLIENTS ?= 1000
DURATION ?= 10
REPEATS ?= 3
RIVALS ?= ../shared/rivals

.PHONY: run test lint types bench fuzz vectors clean

run: $(BIN)/gameserver
	$(BIN)/gameserver run

test: $(VENV)/.dev lint types
	$(BIN)/python -m pytest -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# All workloads, or some of them: make bench ONLY=full-200 CLIENTS=1000 DURATION=10
bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench $(if $(ONLY),--only '$(ONLY)') --clients '$(CLIENTS)' --seconds '$(DURATION)' --repeats '$(REPEATS)' --rivals '$(RIVALS)'

# The property tests with many more examples than `make test` has time for.
fuzz: $(VENV)/.dev
	TICKWIRE_EXAMPLES=5000 $(BIN)/python -m pytest -q tests/property tests/unit/test_websocket_frames.py

# Write protocol/vectors/ anew, after a change to the wire.
vectors: $(VENV)/.dev
	$(BIN)/python -m tools.vectors

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/gameserver: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
