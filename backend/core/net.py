"""Fetch a foreign URL that a user gave us, or tell it something, without being led anywhere else.

The name is resolved once; one address that is not public refuses the whole, and the connection goes to the address
that was looked at, so that a second answer of the name server cannot change the way. No redirects, no proxies, no
credentials. Everything is bounded: ``CONNECT_S`` to connect, ``TOTAL_S`` from the first to the last byte however
slowly they drip, ``MAX_BYTES`` on the wire and after decompression.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import SOCK_STREAM, gaierror, getaddrinfo
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import certifi
import httpcore
from django.conf import settings

from backend.core.db import outside_transaction

CONNECT_S = 3.0
TOTAL_S = 10.0
MAX_BYTES = 2 * 1024 * 1024
MAX_URL = 2000

USER_AGENT = "Karibu-Calendar/1.0"

Address = IPv4Address | IPv6Address

_TRANSLATED = tuple(
    ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)
"""IPv6 ranges that carry an IPv4 address inside: they lead wherever that one leads."""

_SPECIAL = tuple(
    ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "fec0::/10", "5f00::/16")
)
"""Ranges of IANA's special-purpose registries that some versions of ``ipaddress`` take for global: protocol assignments
(a cloud's metadata answers at 192.0.0.192), 6to4 relays, documentation (RFC 9637), site-local, segment routing."""


class FetchFailed(Exception):
    """Nothing was fetched. ``code`` is a stable word; it never holds the URL, which may be a secret.

    ``bad_url``, ``not_https``, ``address_refused``: will never be fetched as it is. ``unresolved``, ``unreachable``,
    ``timeout``, ``tls``, ``broken``, ``redirect``, ``too_large``, ``bad_encoding``, ``http_<status>``: this time not.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether another try cannot help."""
        return self.code in ("bad_url", "not_https", "address_refused")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of 200, or of 304 with an empty body where the caller's validators still hold."""

    status: int
    body: bytes
    etag: str
    last_modified: str

    @property
    def is_unchanged(self) -> bool:
        return self.status == 304


@dataclass(frozen=True, slots=True)
class _Target:
    url: httpcore.URL
    host: str
    addresses: tuple[str, ...]


def normal(url: str) -> str:
    """``url`` as it is kept: ``webcal`` becomes ``https``, no fragment. Raises: FetchFailed ``bad_url``, ``not_https``."""
    parts = _split(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", parts.query, ""))


def require_fetchable(url: str) -> None:
    """Raises: FetchFailed when ``url`` leads to somewhere that is never fetched, or cannot be resolved."""
    _target(url, time.monotonic() + CONNECT_S)


def fetch(
    url: str,
    *,
    accept: str = "*/*",
    etag: str = "",
    last_modified: str = "",
    total_s: float = TOTAL_S,
    max_bytes: int = MAX_BYTES,
) -> Fetched:
    """GET ``url``, conditionally where validators are given. At most ``total_s`` seconds and ``max_bytes`` bytes.

    Raises: FetchFailed; ProviderCallInTransaction inside a transaction.
    """
    headers = {"User-Agent": USER_AGENT, "Accept": accept, "Accept-Encoding": "gzip, identity"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    with _asked("GET", url, headers, total_s) as response:
        return _read(response, max_bytes)


def post(url: str, body: bytes, headers: Mapping[str, str], *, total_s: float = TOTAL_S) -> int:
    """POST ``body`` to ``url`` in at most ``total_s`` seconds; the status of the answer, whose body is not read.

    Raises: FetchFailed; ProviderCallInTransaction inside a transaction.
    """
    with _asked("POST", url, {**headers, "Content-Length": str(len(body))}, total_s, body) as response:
        return response.status


@contextmanager
def _asked(
    method: str, url: str, headers: Mapping[str, str], total_s: float, body: bytes | None = None
) -> Iterator[httpcore.Response]:
    outside_transaction("a foreign URL")
    deadline = time.monotonic() + total_s
    target = _target(url, deadline)
    sent: list[tuple[bytes | str, bytes | str]] = [
        ("Host", target.host),
        ("Connection", "close"),
        *headers.items(),
    ]
    backend = _Pinned(target.addresses, deadline)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend, retries=0) as pool,
            pool.stream(method, target.url, headers=sent, content=body) as response,
        ):
            yield response
    except httpcore.TimeoutException:
        raise FetchFailed("timeout") from None
    except httpcore.ConnectError as error:
        is_tls = isinstance(error.__cause__ or error.__context__, ssl.SSLError)
        raise FetchFailed("tls" if is_tls else "unreachable") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        raise FetchFailed("broken") from None


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise FetchFailed("bad_url")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise FetchFailed("bad_url") from None
    if parts.scheme == "webcal":
        parts = parts._replace(scheme="https")
    if parts.scheme not in ("http", "https") or not host or port == 0 or "@" in parts.netloc:
        raise FetchFailed("bad_url")
    if parts.scheme == "http" and not settings.ALLOW_LOOPBACK_FETCH:
        raise FetchFailed("not_https")
    return parts


def _target(url: str, deadline: float) -> _Target:
    """Where ``url`` leads: the addresses of its name, each of them looked at."""
    parts = _split(url)
    name = (parts.hostname or "").removesuffix(".")
    try:
        ascii_name = name if ":" in name else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise FetchFailed("bad_url") from None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = _resolve(ascii_name, port, min(deadline, time.monotonic() + CONNECT_S))
    are_loopback = all(each.is_loopback for each in found)
    if not (are_loopback and settings.ALLOW_LOOPBACK_FETCH):
        if not all(is_public(each) for each in found):
            raise FetchFailed("address_refused")
        if parts.scheme != "https":
            raise FetchFailed("not_https")
    literal = f"[{ascii_name}]" if ":" in ascii_name else ascii_name
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        target = path.encode("ascii")
    except UnicodeEncodeError:
        raise FetchFailed("bad_url") from None
    return _Target(
        httpcore.URL(scheme=parts.scheme.encode(), host=ascii_name.encode(), port=port, target=target),
        literal if parts.port is None else f"{literal}:{port}",
        tuple(dict.fromkeys(str(each) for each in found)),
    )


def is_public(address: Address) -> bool:
    """Whether packets to ``address`` leave for the internet, and cannot come back by translation."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return is_public(address.ipv4_mapped)
    if any(address in network for network in (*_TRANSLATED, *_SPECIAL)):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _resolve(name: str, port: int, deadline: float) -> Sequence[Address]:
    """All addresses of ``name``. The system's resolver knows no limit of time, so it runs beside us."""
    try:
        return [ip_address(name)]
    except ValueError:
        pass
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(getaddrinfo(name, port, type=SOCK_STREAM))
        except (gaierror, UnicodeError, OSError) as error:
            found.append(error)

    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise FetchFailed("timeout")
    if isinstance(found[0], Exception) or not found[0]:
        raise FetchFailed("unresolved")
    return [ip_address(entry[4][0].partition("%")[0]) for entry in found[0]]


def _read(response: httpcore.Response, max_bytes: int) -> Fetched:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    kept = {"etag": headers.get("etag", "")[:200], "last_modified": headers.get("last-modified", "")[:80]}
    if response.status == 304:
        return Fetched(304, b"", **kept)
    if 300 <= response.status < 400:
        raise FetchFailed("redirect")
    if response.status != 200:
        raise FetchFailed(f"http_{response.status}")
    return Fetched(200, _body(response.iter_stream(), headers.get("content-encoding", ""), max_bytes), **kept)


def _body(stream: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise FetchFailed("bad_encoding")
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if "gzip" in encoding else None
    body, received = bytearray(), 0
    for chunk in stream:
        received += len(chunk)
        try:
            body += unzip.decompress(chunk, max_bytes + 1 - len(body)) if unzip else chunk
        except zlib.error:
            raise FetchFailed("bad_encoding") from None
        if received > max_bytes or len(body) > max_bytes:
            raise FetchFailed("too_large")
    if unzip and not unzip.eof:
        raise FetchFailed("broken")
    return bytes(body)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


class _Pinned(httpcore.NetworkBackend):
    """Connects to the addresses that were looked at, whatever name it is asked for, and outlasts no deadline."""

    def __init__(self, addresses: Sequence[str], deadline: float) -> None:
        self._addresses, self._deadline = addresses, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        until = min(self._deadline, time.monotonic() + CONNECT_S)
        refused: Exception = httpcore.ConnectError()
        for address in self._addresses:
            left = _left(until, httpcore.ConnectTimeout)
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, timeout=left)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return _Bounded(stream, self._deadline)
        raise refused


class _Bounded(httpcore.NetworkStream):
    """A stream whose every wait ends with the deadline of the whole."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(CONNECT_S, _left(self._deadline, httpcore.ConnectTimeout))
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, too_late: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise too_late
    return left
