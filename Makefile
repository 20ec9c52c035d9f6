# `make demo` and `make test` are the whole set-up: they create .venv from the lock and use it.
PY := .venv/bin/python
READY := .venv/.ready

.PHONY: demo test slow lint types story docs clean

demo: $(READY)  ## the main job: 300 users against the bundled service, recorded and reported
	$(PY) lt.py run --scenario ramp300

test: $(READY)  ## every test that is not slow
	$(PY) -m pytest -m "not slow"

slow: $(READY)  ## the tests that take minutes or need extra tools
	$(PY) -m pytest -m slow --timeout 1200

story: $(READY)  ## the same ramp against this machine and against the local Cloud Run, compared
	$(PY) lt.py run --scenario ramp300 --target local
	$(PY) lt.py run --scenario ramp300 --target emulator --cpu auto
	$(PY) lt.py report

lint: $(READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(READY)
	$(PY) -m mypy

docs: $(READY)  ## the generated pages
	$(PY) -m docs.generate

# uv when it is there; else the interpreter's own venv and pip bring a uv that reads the same lock.
$(READY): pyproject.toml uv.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --locked; \
	else \
		python3 -m venv .venv && .venv/bin/python -m pip install --quiet uv==0.13.9 && .venv/bin/uv sync --locked --inexact; \
	fi
	@touch $(READY)

clean:
	rm -rf .venv
