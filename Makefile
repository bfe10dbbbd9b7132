# Two commands for a new machine with Python 3.11 to 3.13, make and gcc: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-long readers check format docs bench agree lock clean

help:
	@echo "make demo       install, then a complete run on text of this machine, into demo/"
	@echo "make test       install, then all tests but the long ones"
	@echo "make test-long  the tests that take minutes"
	@echo "make readers    exports read back by Megatron, streaming, datatrove, OLMo, datasets and litdata (installs them)"
	@echo "make check      ruff format and lint, mypy strict"
	@echo "make bench      every kernel and the whole path beside datatrove (installs it into .venv-rivals)"
	@echo "make agree      every dialect beside what it is named after, on 20,000 documents (half an hour)"
	@echo "make format     ruff format and the fixes ruff can do"
	@echo "make docs       write docs/steps.md from the code"
	@echo "make lock       resolve requirements.lock anew"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/corpusmill demo --out demo

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-long: $(READY)
	$(BIN)/python -m pytest -m slow --timeout 3600

OWNERS := .venv-readers/.ready

$(OWNERS): tests/readers/requirements.txt tests/readers/owners.txt
	$(PYTHON) -m venv .venv-readers
	.venv-readers/bin/python -m pip install --quiet --requirement tests/readers/requirements.txt
	.venv-readers/bin/python -m pip install --quiet --no-deps --requirement tests/readers/owners.txt
	touch $(OWNERS)

readers: $(READY) $(OWNERS)
	$(BIN)/python -m pytest tests/readers -m slow --timeout 3600

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/make_steps.py

bench: $(READY)
	$(BIN)/python -m benchmarks.run

agree: $(READY)
	$(BIN)/python -m benchmarks.agreement

lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --extra train --extra dev --output-file requirements.lock pyproject.toml
	sed -i "s/^torch==\([0-9.]*\)+cpu/torch==\1/" requirements.lock

clean:
	rm -rf $(VENV) .venv-* demo
