# `make demo` and `make test` need no other set-up: they create .venv from the lock file and use it.
PY := .venv/bin/python
READY := .venv/.ready
# CI sets 1 and 2, because a test that starts real processes can fail on a busy machine.
RERUNS ?= 0
# Number of test processes. It is one more than the number of cores (2), because tests often wait for processes that
# they started.
JOBS ?= 3
# The files whose slow tests run; empty means all.
SLOW ?=

.PHONY: help demo test slow long story check fix lint types docs coverage lines clean

help:  ## print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{ printf "make %-9s %s\n", $$1, $$2 }'


demo: $(READY)  ## the main example: 300 users load the bundled service; the run is recorded and reported
	$(PY) lt.py run --scenario ramp300

test: $(READY)  ## all tests that are not slow: four to five minutes on 2 cores
	@echo "every test that is not slow: about 5 min on two quiet cores, longer if other programs use the cores"
	$(PY) -m pytest -m "not slow" -n $(JOBS) --reruns $(RERUNS)

slow: $(READY)  ## the tests that take long or need extra tools: about 30 min on 2 cores
	$(PY) -m pytest -m "slow and not long" -n $(JOBS) --dist loadfile --timeout 1200 --reruns $(RERUNS) $(SLOW)

long: $(READY)  ## the longest tests: every client × behaviour × end, thousands of commands and damaged runs (about an hour)
	$(PY) -m pytest -m long --timeout 3600

story: $(READY)  ## the same ramp against this machine and against the local Cloud Run, compared
	$(PY) lt.py run --scenario ramp300 --target local
	$(PY) lt.py run --scenario ramp300 --target emulator --cpu auto
	$(PY) lt.py report

check: lint types  ## the first checks of CI, in under a minute: format, lint, types, imports, generated pages
	$(PY) -m pytest tests/test_arrow.py tests/test_docs.py

fix: $(READY)  ## format the code, apply the linter's fixes, renew the generated pages
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	$(PY) -m docs.generate

lint: $(READY)  ## check format and lint; change no file
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(READY)  ## run mypy in strict mode over the packages
	$(PY) -m mypy

coverage: $(READY)  ## measure branch coverage of loadtest/ and reports/ by the fast tests and the processes that they start
	$(PY) -m coverage erase
	-$(PY) -m coverage run -m pytest -m "not slow" -n $(JOBS) --timeout 600
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --skip-covered --sort cover

docs: $(READY)  ## renew the generated pages: docs/cli.md, docs/report.md, the README's output blocks
	$(PY) -m docs.generate

# Uses uv if it is installed. Otherwise it makes the venv with python3, and installs uv there with pip; the lock file is
# the same.
$(READY): pyproject.toml uv.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --locked --all-extras --compile-bytecode; \
	else \
		python3 -m venv .venv && .venv/bin/python -m pip install --quiet uv==0.13.9 && .venv/bin/uv sync --locked --all-extras --inexact --compile-bytecode; \
	fi
	@touch $(READY)

lines:  ## count lines by folder: code, docstrings and comments, pages, generated files and data
	@$(PY) -m benchmarks.lines

clean:  ## remove the virtual environment
	rm -rf .venv
