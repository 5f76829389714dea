# Two commands to start: `make run` and `make test`. README.md has the plain pip lines beside them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JS := clients/js
# What `make bench` measures and beside what: ONLY is a regular expression over workloads, RIVALS the folder of rivals,
# FIGURE a copy of the plot.
ONLY ?=
CLIENTS ?= 1000
DURATION ?= 10
REPEATS ?= 3
RIVALS ?= ../shared/rivals
FIGURE ?=

# `make fuzz` takes about so many seconds for each parser, and the simulation so many seeds.
FUZZ_SECONDS ?= 60
SEEDS ?= 200-2199

.PHONY: run test test-all lint types bench fuzz soak flood idle storm vectors client client-test clean

run: $(BIN)/gameserver
	$(BIN)/gameserver run

test: $(VENV)/.dev lint types client-test
	$(BIN)/python -m pytest -q -m 'not slow'

# With what takes minutes: thousands of attacks on a running server, 200 simulated seeds, the Autobahn cases.
test-all: $(VENV)/.dev lint types client-test
	$(BIN)/python -m pytest -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# The browser's client: build what ships inside the Python package, after a change to clients/js/src.
client: $(JS)/node_modules/.package-lock.json
	cd $(JS) && npm run --silent build

# Its own tests, and that gameserver/web/bundled is what its sources build.
client-test:
ifeq ($(shell command -v npm),)
	@echo 'SKIPPED: the tests of clients/js, for there is no npm here; install Node 20 or newer (apt install npm)'
else
	$(MAKE) --no-print-directory $(JS)/node_modules/.package-lock.json
	cd $(JS) && npm run --silent check && npm run --silent build -- --check && npm test --silent
endif

$(JS)/node_modules/.package-lock.json: $(JS)/package-lock.json
	cd $(JS) && npm install --no-save --no-audit --no-fund --silent
	touch $@

# All workloads, or some of them: make bench ONLY=full-200 CLIENTS=1000 DURATION=10
bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench $(if $(ONLY),--only '$(ONLY)') --clients '$(CLIENTS)' --seconds '$(DURATION)' --repeats '$(REPEATS)' --rivals '$(RIVALS)' $(if $(FIGURE),--figure '$(FIGURE)')

# Coverage-guided fuzzing of each parser, more simulated seeds, more attacks on a running server, and the property tests
# with many more examples than `make test` has time for.
fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run all --seconds $(FUZZ_SECONDS)
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS)
	TICKWIRE_FUZZ=5 $(BIN)/python -m pytest -q tests/hostile/test_fuzz_live.py
	TICKWIRE_EXAMPLES=5000 $(BIN)/python -m pytest -q tests/property tests/unit/test_websocket_frames.py tests/unit/test_logs.py

# Ten minutes of 1500 players who come and go: memory and descriptors must come back.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.bench.soak --minutes 10

# 100 attackers of each kind beside 100 players, and 2000 silent connections.
flood: $(VENV)/.dev
	$(BIN)/python -m tests.bench.flooders
	$(BIN)/python -m tests.bench.flooders --loris 2000

# What 10 000 rooms cost in which nothing happens.
idle: $(VENV)/.dev
	$(BIN)/python -m tests.bench.idle_rooms

# 500 players who are dropped at once and come back.
storm: $(VENV)/.dev
	$(BIN)/python -m tests.bench.storm

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
