# The image that runs `lt run` for load generators in other containers: everything except the model (no CatBoost).
#   docker build -f deploy/master.Dockerfile --tag lt-master .
# deploy/master.Dockerfile.dockerignore lists the files that are sent to the build.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${PYTHON_IMAGE} AS packages
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/venv UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN /uv/bin/uv sync --frozen --no-dev --all-extras --no-install-project \
      $(for package in catboost matplotlib plotly graphviz; do echo "--no-install-package $package"; done)
COPY lt.py ./
COPY loadtest ./loadtest
COPY reports ./reports
COPY scenarios ./scenarios
RUN python3 -m compileall -q lt.py loadtest reports scenarios

FROM ${PYTHON_IMAGE}
RUN useradd --create-home --uid 10001 app && install -d -o app /runs
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=packages /venv /venv
COPY --from=packages /app /app
WORKDIR /app
USER app
ENTRYPOINT ["python3", "lt.py"]
CMD ["--help"]
