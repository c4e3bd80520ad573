# Two images from one recipe: `api` serves (no torch), `worker` relays, sweeps, trains and encodes.
#   docker build --target api -t upnext-api .
#   docker build --target worker --build-arg TORCH_INDEX=<index of CPU builds of torch> -t upnext-worker .
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/upnext/bin:$PATH UPNEXT_HOME=/var/lib/upnext
RUN groupadd --gid 10001 upnext \
 && useradd --uid 10001 --gid upnext --no-create-home --home-dir /var/lib/upnext upnext \
 && install --directory --owner=upnext --group=upnext --mode=0700 /var/lib/upnext
WORKDIR /var/lib/upnext

FROM base AS build
WORKDIR /src
RUN python -m venv /opt/upnext
# The dependencies change less often than the code, so they are a layer of their own.
COPY requirements.lock pyproject.toml README.md ./
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > serving.txt \
 && pip install --no-cache-dir --constraint requirements.lock --requirement serving.txt
COPY api api
COPY core core
COPY embeddings embeddings
COPY ingest ingest
COPY ranking ranking
COPY retrieval retrieval
COPY storage storage
COPY upnext upnext
RUN pip install --no-cache-dir --no-deps .

FROM build AS build-worker
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir --constraint requirements.lock ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[train]'

FROM base AS api
LABEL org.opencontainers.image.title="upnext-api" \
      org.opencontainers.image.description="Video recommendations over HTTP"
COPY --from=build /opt/upnext /opt/upnext
USER 10001:10001
VOLUME /var/lib/upnext
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["upnext", "serve", "--host", "0.0.0.0"]

FROM base AS worker
LABEL org.opencontainers.image.title="upnext-worker" \
      org.opencontainers.image.description="Relays events, sweeps old versions, trains models"
COPY --from=build-worker /opt/upnext /opt/upnext
USER 10001:10001
VOLUME /var/lib/upnext
ENV UPNEXT_WORKER_METRICS_PORT=9100
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9100/health/live', timeout=2)"]
CMD ["upnext", "worker"]
