# Two images from one recipe: `api` serves (no torch), `worker` relays, sweeps, trains and encodes.
#   docker build --target api -t upnext-api .
#   docker build --target worker --build-arg TORCH_INDEX=<index of CPU builds of torch> -t upnext-worker .
# The digest is what is pulled; the update bot renews it together with the tag (docs/containers.md).
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS base
ENV PATH=/opt/upnext/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UPNEXT_HOME=/var/lib/upnext \
    UPNEXT_HOST=0.0.0.0
RUN groupadd --gid 10001 upnext \
 && useradd --uid 10001 --gid upnext --no-create-home --home-dir /var/lib/upnext --shell /usr/sbin/nologin upnext \
 && install --directory --owner=upnext --group=upnext --mode=0700 /var/lib/upnext
WORKDIR /var/lib/upnext

FROM base AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/upnext
# The dependencies change less often than the code, so they are layers of their own. They are
# installed as built and hashed by others: nothing is compiled here. Their own tests are left out.
COPY requirements.api.lock ./
RUN pip --python /opt/upnext/bin/python install --only-binary :all: --require-hashes --requirement requirements.api.lock \
 && find /opt/upnext -type d -name tests -prune -exec rm -r {} +

FROM build AS build-worker
ARG TORCH_INDEX=""
COPY requirements.lock requirements.build.lock requirements.worker.lock ./
# torch has other files, and so other hashes, on each index: only its release is fixed. The lock has
# all that others need but torch, which pip must not look for as it installs them.
RUN pip --python /opt/upnext/bin/python install --only-binary :all: --no-deps --require-hashes \
      --requirement requirements.worker.lock --requirement requirements.build.lock \
 && grep '^torch==' requirements.lock > torch.txt \
 && pip --python /opt/upnext/bin/python install --only-binary :all: \
      ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement torch.txt \
 && find /opt/upnext -type d -name tests -prune -exec rm -r {} +

FROM base AS package
WORKDIR /src
COPY requirements.build.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --target /tools --only-binary :all: --require-hashes \
      --requirement requirements.build.lock
COPY pyproject.toml README.md ./
COPY api api
COPY core core
COPY embeddings embeddings
COPY ingest ingest
COPY ranking ranking
COPY retrieval retrieval
COPY storage storage
COPY upnext upnext
RUN PYTHONPATH=/tools pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /wheels .

FROM build AS installed-api
COPY --from=package /wheels /wheels
RUN pip --python /opt/upnext/bin/python install --no-index --no-deps /wheels/*.whl

FROM build-worker AS installed-worker
COPY --from=package /wheels /wheels
RUN pip --python /opt/upnext/bin/python install --no-index --no-deps /wheels/*.whl

FROM base AS api
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="upnext-api" \
      org.opencontainers.image.description="Video recommendations over HTTP" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13.15-slim-trixie"
COPY --from=installed-api /opt/upnext /opt/upnext
USER 10001:10001
VOLUME /var/lib/upnext
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["upnext", "healthcheck"]
CMD ["upnext", "serve"]

FROM base AS worker
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="upnext-worker" \
      org.opencontainers.image.description="Takes events, does jobs, trains models" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13.15-slim-trixie"
COPY --from=installed-worker /opt/upnext /opt/upnext
USER 10001:10001
VOLUME /var/lib/upnext
ENV UPNEXT_WORKER_METRICS_PORT=9100
EXPOSE 9100
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["upnext", "healthcheck", "--worker"]
CMD ["upnext", "worker"]
