# make demo | test | test-faults | serve | bench-engine | bench-accuracy | bench-recovery | bench-overload | bench-store | lint | format | clean
#
# Each target sets up what it needs in .venv, and does so again when pyproject.toml, constraints-cpu.txt or what the
# kernels are built from change.
# Plain make (3.81, as on macOS) and /bin/sh are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := liquid_core service clients benchmarks tests

.PHONY: demo test test-faults serve bench-engine bench-accuracy bench-recovery bench-overload bench-store lint format clean help

help:
	@echo "make demo            start the service, replay real data through it, show what was learned (KEEP=1 leaves it running)"
	@echo "make test            run all tests"
	@echo "make test-faults     kill, freeze, fill and cut off servers and stores in every way there is, a quarter of an hour"
	@echo "make serve           run the service on http://127.0.0.1:8765"
	@echo "make lint            ruff and mypy"
	@echo "make bench-engine    time the engines beside their peers, thoroughly; in two minutes with ARGS=--quick"
	@echo "make bench-store     time the store's calls on an embedded server; in half a minute with ARGS=--quick"
	@echo "make bench-accuracy  score the default model beside its peers; ARGS='--data DIR --json FILE', or --quick"
	@echo "make bench-recovery  kill a server of 10,000 streams, serve 100,000 with 2 GB; in minutes with ARGS=--quick"
	@echo "make bench-overload  twice as much as the service can do, and a greedy stream beside polite ones; or ARGS=--quick"
	@echo "make format          let ruff format the code"
	@echo "make clean           remove .venv and caches"

demo: $(VENV)/.installed-demo
	@$(BIN)/liquidstream demo

serve: $(VENV)/.installed-demo
	@$(BIN)/liquidstream serve

# One thread for torch in each of the two workers: streams are small, and more threads only get in each other's way.
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# Every fault that one machine can be given; ends with a table of what was acknowledged, and lost: nothing.
test-faults: $(VENV)/.installed-test
	LIQUIDSTREAM_FAULTS=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/faults $(ARGS)

bench-engine: $(VENV)/.installed-test
	@$(BIN)/python -m benchmarks.engine $(ARGS)

bench-store: $(VENV)/.installed-test
	@$(BIN)/python -m benchmarks.store $(ARGS)

bench-accuracy: $(VENV)/.installed-test
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.accuracy $(ARGS)

bench-recovery: $(VENV)/.installed-test
	@$(BIN)/python -m benchmarks.recovery $(ARGS)

bench-overload: $(VENV)/.installed-test
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.overload $(ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f liquid_core/engine/native/*.so
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setting up ------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 || echo not there)."; \
	  echo "Name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "The module venv is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# The kernels are compiled when the package is installed. Without a compiler that succeeds too, and is said here.
BUILT_FROM = pyproject.toml constraints-cpu.txt setup.py $(wildcard liquid_core/engine/native/src/*)
SAY_ENGINE = $(BIN)/python -c "from liquid_core.engine import native_status as status; s = status(); \
  print('engine: native kernels for ' + s.isa if s.available else 'engine: torch, far slower than native: ' + s.reason)"

$(VENV)/.installed-demo: $(BIN)/python $(BUILT_FROM)
	@echo "installing into $(VENV), which takes a few minutes the first time ..."
	@$(PIP) install --quiet $(TORCH_INDEX) -c constraints-cpu.txt -e '.[demo]'
	@$(SAY_ENGINE)
	@touch $@

$(VENV)/.installed-test: $(BIN)/python $(BUILT_FROM)
	@echo "installing into $(VENV), which takes a few minutes the first time ..."
	@$(PIP) install --quiet $(TORCH_INDEX) -c constraints-cpu.txt -e '.[test,peers]'
	@$(SAY_ENGINE)
	@touch $@ $(VENV)/.installed-demo

# PyPI's torch for Linux brings several GB of CUDA; PyTorch's own index has the build for CPUs. It is used where it
# answers within three seconds; in CI, which sets $CI, it is not asked. The build for macOS is small anyway.
TORCH_INDEX = $$(test -z "$$CI" && test "$$(uname -s)" = Linux && timeout 4 $(BIN)/python -c "import urllib.request as u; \
  u.urlopen('https://download.pytorch.org/whl/cpu/torch/', timeout=3).close(); \
  print('--extra-index-url https://download.pytorch.org/whl/cpu')" 2>/dev/null)
