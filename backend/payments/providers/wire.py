"""Talk to a provider over HTTP: bounded in time, and clear about what may have arrived there.

``CONNECT_S`` to connect and ``TOTAL_S`` for all the calls of one order together, so that an order is decided or given
up well before its lease ends. No redirects, no proxies, no retries: asking again is the business of whoever holds the
key. Numbers of answers are read as ``Decimal``.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn, Self

import certifi
import httpx

from backend.core import tracing
from backend.core.db import outside_transaction
from backend.payments.providers.base import ProviderUnavailable
from backend.telemetry import watching

CONNECT_S = 3.0
TOTAL_S = 20.0
MAX_BYTES = 4 * 1024 * 1024

TOKEN_MARGIN_S = 60.0
"""A token is no longer used so long before it ends."""

USER_AGENT = "Karibu/1.0"


class NotSent(ProviderUnavailable):
    """Nothing reached the provider: the order was surely not carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider answered: JSON, or ``{}`` where it said nothing."""

    status: int
    body: Any

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class Wire:
    """The calls of one order. Used with ``with``; all of them share ``TOTAL_S`` and one connection."""

    def __init__(self, provider: str, base_url: str) -> None:
        outside_transaction("a payment provider")
        self._provider = provider
        self._deadline = time.monotonic() + TOTAL_S
        self._client = httpx.Client(
            base_url=base_url,
            verify=_tls(),
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """One call; any status is an answer, if it is JSON or empty.

        What is neither was not written by the provider: an error page on the way says nothing about the order.

        Raises: NotSent, ProviderUnavailable.
        """
        left = self._left()
        timeout = httpx.Timeout(left, connect=min(CONNECT_S, left))
        try:
            with (
                watching.calling(self._provider) as call,
                self._client.stream(
                    method,
                    path,
                    headers={**tracing.headers(), **(headers or {})},
                    json=body,
                    data=form,
                    params=params,
                    auth=auth or httpx.USE_CLIENT_DEFAULT,
                    timeout=timeout,
                ) as response,
            ):
                answer = Answer(response.status_code, _json(self._read(response)))
                call.tell(answer.status)
                return answer
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(f"{method} {path}: {type(error).__name__}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"{method} {path}: {type(error).__name__}") from error

    def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise ProviderUnavailable("the answer is too long")
            if time.monotonic() > self._deadline:
                raise ProviderUnavailable("the answer took too long")
        return bytes(content)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NotSent("no time is left for another call")
        return left


class Tokens:
    """Access tokens of this process, each used until shortly before it ends."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def get(self, owner: tuple[str, ...], fetch: Callable[[], tuple[str, float]]) -> str:
        """The token of ``owner``; where there is none, ``fetch`` gives one with the seconds that it lives."""
        with self._lock:
            token, until = self._known.get(owner, ("", 0.0))
        if time.monotonic() < until:
            return token
        token, lives_s = fetch()
        with self._lock:
            self._known[owner] = (token, time.monotonic() + lives_s - TOKEN_MARGIN_S)
        return token

    def forget(self, owner: tuple[str, ...]) -> None:
        """The provider does not take the token any more."""
        with self._lock:
            self._known.pop(owner, None)


def parsed(content: bytes) -> Any:
    """JSON with exact numbers. Raises: ValueError for what is none, NaN and infinities included."""
    return json.loads(content, parse_float=Decimal, parse_constant=_no_constant)


def _json(content: bytes) -> Any:
    if not content.strip():
        return {}
    try:
        return parsed(content)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable("the answer is no JSON") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
