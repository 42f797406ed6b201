"""Origins of web pages as operators write them down: scheme, host and port, and nothing else."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]", re.ASCII)


def origin(text: str) -> str:
    """The origin as browsers send it: lower case, without the scheme's own port.

    Raises: ValueError for ``*``, ``null``, other schemes, and addresses with a path, a query or a user.
    """
    parts = urlsplit(text.strip().lower())
    port = parts.port
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise ValueError(f"{text!r} is no origin")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is more than an origin")
    return f"{parts.scheme}://{host}" + (
        f":{port}" if port not in (None, DEFAULT_PORTS[parts.scheme]) else ""
    )
