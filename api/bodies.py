"""How large a request's body may be."""

from __future__ import annotations

JSON_LIMIT = 1024 * 1024
UPLOAD_LIMIT = 12 * 1024 * 1024
DRAIN_LIMIT = 64 * 1024 * 1024
"""How much of a body that is too large is still read, so that its sender comes to hear the answer."""


def body_limit(path: str, content_type: str) -> int:
    """Bytes that are taken: 12 MB of an upload, 1 MB of anything else."""
    return UPLOAD_LIMIT if content_type.lower().startswith("multipart/form-data") else JSON_LIMIT
