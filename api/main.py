"""The API object; one file per resource hangs its routes on it."""

from __future__ import annotations

from ninja import NinjaAPI

api = NinjaAPI(title="Karibu", version="1.0.0", urls_namespace="api", openapi_url="/openapi.json", docs_url="/docs")
