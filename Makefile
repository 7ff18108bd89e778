# make demo and make test need nothing but Python 3.11 or later: they make .venv and install into it.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready
DEMO    = runs/demo
BENCH  ?= runs/bench
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-all lint format bench bench-peers clean

help:
	@echo "make demo      train ERL, CEM-RL and TD3 on a small task, compare them, draw the curves"
	@echo "make test      the tests, in a few minutes"
	@echo "make test-all  and the long ones"
	@echo "make lint      ruff and mypy"
	@echo "make format    let ruff lay out the code"
	@echo "make bench     measure speed, as ratios in one run of about 10 minutes, into $(BENCH)"
	@echo "make bench-peers  the same against other packages, which it installs below .peers"
	@echo "make clean     remove .venv and $(DEMO)"

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/evorl sweep --algorithms erl cem-rl td3 --env-ids Pendulum-v1 --seeds 2 --total-timesteps 14000 \
		--preset quick --workers 2 --runs $(DEMO)
	$(BIN)/evorl compare $(DEMO)

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 -m 'not slow'

test-all: $(READY)
	$(BIN)/python -m pytest -q -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m benchmarks --out $(BENCH) $(if $(PAGE),--page $(PAGE))

bench-peers: $(READY)
	$(BIN)/python -m benchmarks.peers --out $(BENCH)

clean:
	rm -rf $(VENV) $(DEMO)
