# `make train` and `make test` are all that a fresh machine needs.
.PHONY: train test test-all smoke install opengl check clean
.DEFAULT_GOAL := train

BIN := .venv/bin
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && echo $$python && break; done)
# Shapes are checked at run time in every test but these: compilation breaks on it, whole runs are slow under it, and it would be measured.
UNTYPED := tests/bench tests/compile tests/training tests/sweeps tests/cli tests/fuzz tests/ranks tests/guides tests/test_recipes.py tests/test_everything_composes.py tests/smoke
# As many workers as there are processors, and no more than memory has room for; each begins with its own part of the files.
WORKERS := --numprocesses logical --maxprocesses 8 --dist worksteal
EGL := libegl1 libopengl0 libgl1-mesa-dri

train: opengl
	$(BIN)/dream train recipes/quickstart.gin $(ARGS)

test: opengl check
	$(BIN)/python -m pytest $(WORKERS) $(addprefix --ignore=,$(UNTYPED))
	$(BIN)/python -m pytest $(WORKERS) $(UNTYPED) --jaxtyping-packages=

# With the rest of the enumerations of which `make test` has a sample.
test-all: opengl check
	$(BIN)/python -m pytest $(WORKERS) -m 'not smoke' $(addprefix --ignore=,$(UNTYPED))
	$(BIN)/python -m pytest $(WORKERS) -m 'not smoke' $(UNTYPED) --jaxtyping-packages=

# Every recipe learns something small, in under a minute each; `make test` has the quickest of them.
smoke: install
	$(BIN)/python -m pytest $(WORKERS) tests/smoke -m '' --jaxtyping-packages=

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: apt-get install -y python3 python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# OpenGL without a screen. Where there is none, a Debian machine installs it if it may; otherwise this says what to run.
opengl: install
	@$(BIN)/python -m framework.environments.opengl 2> /dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
			export DEBIAN_FRONTEND=noninteractive; \
			apt-get update -qq; \
			apt-get install -y -qq $(EGL) libosmesa6 || apt-get install -y -qq $(EGL); \
		fi; \
		$(BIN)/python -m framework.environments.opengl; \
	}

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
