# `make demo` and `make test` are the whole set-up: they create .venv from the lock and use it.
PY := .venv/bin/python
READY := .venv/.ready
# CI sets 1 and 2: a test that starts real processes may meet a busy machine.
RERUNS ?= 0
# Processes that tests run in, one more than two cores: they often wait for processes that they started.
JOBS ?= 3
# Files whose slow tests run; empty: all.
SLOW ?=

.PHONY: help demo test slow long story check fix lint types docs coverage lines clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{ printf "make %-9s %s\n", $$1, $$2 }'


demo: $(READY)  ## the main job: 300 users against the bundled service, recorded and reported
	$(PY) lt.py run --scenario ramp300

test: $(READY)  ## every test that is not slow: four to five minutes on 2 cores
	@echo "every test that is not slow: about 5 min on two quiet cores, more where others use them"
	$(PY) -m pytest -m "not slow" -n $(JOBS) --reruns $(RERUNS)

slow: $(READY)  ## the tests that take long or need extra tools: about 30 min on 2 cores
	$(PY) -m pytest -m "slow and not long" -n $(JOBS) --dist loadfile --timeout 1200 --reruns $(RERUNS) $(SLOW)

long: $(READY)  ## the sweeps: every client × behaviour × end, thousands of commands and damaged runs (about an hour)
	$(PY) -m pytest -m long --timeout 3600

story: $(READY)  ## the same ramp against this machine and against the local Cloud Run, compared
	$(PY) lt.py run --scenario ramp300 --target local
	$(PY) lt.py run --scenario ramp300 --target emulator --cpu auto
	$(PY) lt.py report

check: lint types  ## what CI runs first, in under a minute: format, lint, types, import arrow, generated pages
	$(PY) -m pytest tests/test_arrow.py tests/test_docs.py

fix: $(READY)  ## format the code, fix what the linter can, renew the generated pages
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	$(PY) -m docs.generate

lint: $(READY)  ## format and lint, changing nothing
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(READY)  ## mypy strict over the packages
	$(PY) -m mypy

coverage: $(READY)  ## branch coverage of loadtest/ and reports/ by the fast tests and the processes that they start
	$(PY) -m coverage erase
	-$(PY) -m coverage run -m pytest -m "not slow" -n $(JOBS) --timeout 600
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --skip-covered --sort cover

docs: $(READY)  ## the generated pages: docs/cli.md, docs/report.md, the README's output blocks
	$(PY) -m docs.generate

# uv when it is there; else the interpreter's own venv and pip bring a uv that reads the same lock.
$(READY): pyproject.toml uv.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --locked --all-extras --compile-bytecode; \
	else \
		python3 -m venv .venv && .venv/bin/python -m pip install --quiet uv==0.13.9 && .venv/bin/uv sync --locked --all-extras --inexact --compile-bytecode; \
	fi
	@touch $(READY)

lines:  ## lines outside tests by folder: all, and those of Python without docstrings, comments and blank lines
	@$(PY) -m benchmarks.lines

clean:  ## remove the virtual environment
	rm -rf .venv
