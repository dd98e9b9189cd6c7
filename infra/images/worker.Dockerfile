# A worker: takes flow runs from a pool of the Prefect server, fetches the repository, pulls data, trains, logs and pushes.
# docker build --file infra/images/worker.Dockerfile --tag ser-ops/worker:0.1.0 .
# The wheel of torch on PyPI brings CUDA; without a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
FROM python:3.11.13-slim-bookworm AS packages
ARG TORCH_INDEX=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /build
COPY requirements.lock ./
RUN version="$(sed -n 's/^torch==//p' requirements.lock)" \
    && /opt/venv/bin/pip install --constraint requirements.lock --index-url "$TORCH_INDEX" \
        --extra-index-url https://pypi.org/simple "torch==$version"
COPY pyproject.toml README.md LICENSE ./
COPY ser_ops ser_ops
COPY pipelines pipelines
RUN /opt/venv/bin/pip install --constraint requirements.lock ".[train,explain,team]"

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
# git: a flow run begins with a clone. Debian's version moves with its security fixes, which a pin would leave out.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 ser && useradd --uid 10001 --gid ser --create-home --shell /usr/sbin/nologin ser \
    && install --directory --owner ser --group ser /var/lib/ser-ops
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/ser-ops
COPY infra/services infra/services
USER 10001:10001
ENTRYPOINT ["bash", "/srv/ser-ops/infra/services/in_clone.sh"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 \
    CMD ["python", "-m", "infra.services.answers", "http://127.0.0.1:8081/health"]
CMD ["prefect", "worker", "start", "--pool", "local-pool", "--limit", "1", "--with-healthcheck"]
