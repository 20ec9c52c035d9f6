# Two images from one file:
#   docker build --target service -t loan-default .    the model service, for Cloud Run
#   docker build --target loadgen -t loadgen .         a Locust worker that joins a master (docs/distributed.md)
#
# The base image is pinned to the digest of its index (amd64 and arm64) of September 2026. To renew it:
#   docker buildx imagetools inspect python:3.11-slim-bookworm
# The tests build both targets on a Debian base image with the same python3 instead.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# ---- base: only adds a user ---------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS base
RUN useradd --create-home --uid 10001 app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# ---- tools: uv, which reads uv.lock; not in the images --------------------------------------------------------------
FROM base AS tools
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/venv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_NO_CACHE=1
COPY pyproject.toml uv.lock ./

# ---- service ------------------------------------------------------------------------------------------------------
# The lines that change least come first, so that packages are installed again only if pyproject.toml or uv.lock
# changes. CatBoost depends on plotting and DataFrame packages that serving never imports (target_service/lean.py).
FROM tools AS service-packages
RUN unused="pandas scipy matplotlib contourpy cycler fonttools kiwisolver pillow pyparsing plotly narwhals graphviz" \
 && /uv/bin/uv sync --frozen --only-group service --no-install-project \
      $(for package in $unused; do echo "--no-install-package $package"; done)
COPY target_service ./target_service
RUN python3 -m compileall -q target_service

FROM base AS service
COPY --from=service-packages /venv /venv
COPY --from=service-packages /app/target_service ./target_service
USER app
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s \
    CMD ["python3", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python3", "-m", "target_service"]

# ---- loadgen ------------------------------------------------------------------------------------------------------
FROM tools AS loadgen-packages
RUN /uv/bin/uv sync --frozen --only-group loadgen --no-install-project
COPY loadtest ./loadtest
COPY scenarios ./scenarios
RUN python3 -m compileall -q loadtest scenarios

FROM base AS loadgen
COPY --from=loadgen-packages /venv /venv
COPY --from=loadgen-packages /app/loadtest ./loadtest
COPY --from=loadgen-packages /app/scenarios ./scenarios
USER app
ENV PYTHONPATH=/app
# The arguments after the image's name go to Locust: -f scenarios/ramp300.py --worker --master-host …; `-f -` gets the
# scenario and its modules from the master.
ENTRYPOINT ["python3", "/app/loadtest/launch.py"]
CMD ["--help"]
