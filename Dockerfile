# The live studio on a CPU, without training. Build: docker build -t newscaster .
# Run: see compose.yaml and docs/how-to/deploy.md.

FROM python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/newscaster
WORKDIR /src
# The versions that CI tests; pyproject.toml says which of them are needed.
COPY requirements/ci.txt requirements/
RUN sed -E 's/ --hash=.*//' requirements/ci.txt > /tmp/constraints.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/newscaster/bin/pip install --constraint /tmp/constraints.txt '.[serve,tts]' \
    && /opt/newscaster/bin/pip install '.[serve,tts,stores,tracing]' \
    && /opt/newscaster/bin/pip uninstall --yes pip setuptools \
    && find /opt/newscaster -type d -name tests -prune -exec rm -rf {} +

FROM python:3.11-slim

LABEL org.opencontainers.image.title="newscaster" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/newscaster /opt/newscaster
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin newscaster \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
ENV PATH=/opt/newscaster/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    XDG_CACHE_HOME=/tmp/cache \
    NEWSCASTER_LOG_FORMAT=json
# Nothing else is written to: the root file system may be read-only. /tmp needs a few hundred MB.
VOLUME ["/data", "/tmp"]
USER 10001:10001
WORKDIR /data
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/healthz', timeout=2)"]
# Another address than loopback needs NEWSCASTER_TOKEN.
ENTRYPOINT ["newscaster", "serve", "--host", "0.0.0.0", "--data-dir", "/data/studio"]
CMD ["--drain", "120"]
