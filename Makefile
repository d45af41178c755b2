# Two commands: `make demo` shows everything on this machine, `make test` proves it. Both make the virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := runs/demo
# One thread is what the figures stand for, and small matrices gain little from more.
export OMP_NUM_THREADS ?= 1
# The many processes that tests start need not compile every module again, also where the shell has this switched off.
export PYTHONDONTWRITEBYTECODE :=
# Tests run in one process per core. A file's tests stay together, because they share what it compiles or trains; the
# files that take long come first.
WORKERS ?= logical
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo emulators fuzz test quick lint types all-tests quick-tests clean

help:
	@echo "make demo       install, build a small parser of the built-in commands for this machine, benchmark it, parse with it"
	@echo "make test       install, fetch the emulators, lint, type check, run every test"
	@echo "make quick      lint, type check, the tests that take no time"
	@echo "make fuzz       random texts, files and logits for everything that reads them, for MINUTES=15; says what was wrong"
	@echo "make emulators  fetch what runs the targets that are not this machine (QEMU, Vulkan on the processor), without root"
	@echo "make clean      remove what these two made, but not the virtual environment"

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$$(sed -n 's/.*"torch==\([0-9.]*\)".*/\1/p' pyproject.toml | head -1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,teacher,compile,bench,dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/pqrnn build home:en --out $(DEMO).pqrnn --recipe quick --encoder none
	$(BIN)/pqrnn bench $(DEMO).pqrnn --data home:en
	$(BIN)/pqrnn parse $(DEMO).pqrnn "turn off the lights in the kitchen" "set the heating in the bathroom to 21 degrees" "wake me up at half past six tomorrow" "add oat milk to the shopping list"

emulators: $(INSTALLED)
	$(BIN)/python -m compile.emulation.install

MINUTES ?= 15
fuzz: $(INSTALLED)
	$(BIN)/python -m benchmarks.fuzz --minutes $(MINUTES) --print --seed $$$$

# Where the emulators cannot be had, their tests are skipped and say why. Types are checked beside the tests.
test: $(INSTALLED)
	-$(BIN)/python -m compile.emulation.install
	@$(MAKE) --no-print-directory --jobs 3 lint types all-tests

quick: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs 3 lint types quick-tests

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

all-tests:
	$(PYTEST) -m "not alone"
	$(BIN)/pytest -m alone

quick-tests:
	$(PYTEST) -m "unit and not slow"

clean:
	rm -rf $(DEMO).pqrnn $(DEMO).pqrnn.build $(DEMO).pqrnn.failed build dist
