# Two commands for a fresh machine: `make demo` shows the product at work, `make test` tests everything.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/installed
	$(BIN)/detector demo

test: .venv/installed-dev lint
	$(BIN)/pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[demo]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[demo,dev]'
	touch $@

clean:
	rm -rf .venv .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
