# The HTTP service: ser-ops serve, with the settings of this project.
# docker build --file infra/images/serve.Dockerfile --tag ser-ops/serve:0.1.0 .
# With a GPU: --build-arg TORCH_INDEX=https://pypi.org/simple
FROM python:3.11.13-slim-bookworm AS packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /build
COPY requirements.lock ./
RUN version="$(sed -n 's/^torch==//p' requirements.lock)" \
    && /opt/venv/bin/pip install --constraint requirements.lock --index-url "$TORCH_INDEX" \
        --extra-index-url https://pypi.org/simple "torch==$version"
COPY pyproject.toml README.md LICENSE ./
COPY ser_ops ser_ops
RUN /opt/venv/bin/pip install --constraint requirements.lock '.[serve,team]'

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
RUN groupadd --gid 10001 ser && useradd --uid 10001 --gid ser --create-home --shell /usr/sbin/nologin ser \
    && install --directory --owner ser --group ser /srv/ser-ops/state
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/ser-ops
COPY infra/services infra/services
COPY params.yaml ./
COPY presets presets
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 \
    CMD ["python", "-m", "infra.services.answers", "http://127.0.0.1:8000/healthz"]
CMD ["ser-ops", "serve", "--host", "0.0.0.0", "--port", "8000", "--model", "models:/ser-fusion@production"]
