"""A line to Karibu that notes every answer, and says which of them should never be given."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

PATIENCE_S = 200.0
"""How long somebody asks again. A request that died is taken up by its key after a minute."""

AGAIN_S = 0.3


class Unanswered(Exception):
    """Nobody gave an answer that counts in time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. ``status`` is 0 where there was none, ``wrong`` says what must not be."""

    began: float
    took: float
    verb: str
    status: int
    code: str
    wrong: str = ""
    says_when: bool = False
    """Whether it says when to come again."""


@dataclass(slots=True)
class Journal:
    """All that one client heard, in order, and how long each of its wishes took to be answered for good."""

    heard: list[Heard] = field(default_factory=list)
    waited: list[tuple[float, float, str]] = field(default_factory=list)
    """(when it began, seconds until the last word, verb)."""


def trusted() -> ssl.SSLContext:
    """Whose certificates people believe: the system's authorities, or those of ``SSL_CERT_FILE``."""
    return ssl.create_default_context()


class Line:
    """Somebody's device. ``token`` may be changed at any time."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        patience_s: float = PATIENCE_S,
        journal: Journal | None = None,
    ) -> None:
        self.journal = journal if journal is not None else Journal()
        self.patience_s = patience_s
        self.token = ""
        self._client = httpx.Client(base_url=url, timeout=timeout, trust_env=False, verify=trusted())

    def close(self) -> None:
        self._client.close()

    def ask(self, verb: str, method: str, path: str, given: Any = None, **more: Any) -> httpx.Response | None:
        """One request; None where nothing came back."""
        headers = {
            **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            **more.pop("headers", {}),
        }
        began = time.monotonic()
        try:
            answer = self._client.request(method, path, json=given, headers=headers, **more)
        except httpx.TransportError as error:
            self.journal.heard.append(Heard(began, time.monotonic() - began, verb, 0, type(error).__name__))
            return None
        self.journal.heard.append(
            Heard(
                began,
                time.monotonic() - began,
                verb,
                answer.status_code,
                _code(answer),
                amiss(answer),
                "retry-after" in answer.headers,
            )
        )
        return answer

    def insist(
        self,
        verb: str,
        method: str,
        path: str,
        given: Any = None,
        *,
        sign_in: Callable[[], None] | None = None,
    ) -> httpx.Response:
        """The same request with the same key, until its answer is a last word.

        ``sign_in`` is called where the session is not known any more. Raises: Unanswered.
        """
        key, began = str(uuid4()), time.monotonic()
        while True:
            answer = self.ask(verb, method, path, given, headers={"Idempotency-Key": key})
            if answer is not None:
                if answer.status_code == 401 and sign_in is not None:
                    sign_in()
                elif not _comes_again(answer):
                    self.journal.waited.append((began, time.monotonic() - began, verb))
                    return answer
            if time.monotonic() - began > self.patience_s:
                raise Unanswered(f"{verb}: {'nothing' if answer is None else answer.text[:300]}")
            time.sleep(AGAIN_S)


def _comes_again(answer: httpx.Response) -> bool:
    if answer.status_code == 409:
        return _code(answer) == "request_in_progress"
    return answer.status_code == 429 or answer.status_code >= 500


def _code(answer: httpx.Response) -> str:
    if answer.status_code < 400 or not answer.headers.get("content-type", "").startswith(PROBLEM):
        return ""
    return str(answer.json().get("code", ""))


PROBLEM = "application/problem+json"


def amiss(answer: httpx.Response) -> str:
    """What is wrong with an answer, whatever was asked: a 500, a trace, an error that is no problem document."""
    if "Traceback (most recent call last)" in answer.text:
        return f"{answer.status_code} with a trace"
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{answer.status_code} {_code(answer)}"
    if answer.status_code >= 400:
        if not answer.headers.get("content-type", "").startswith(PROBLEM):
            return f"{answer.status_code} that is no problem document: {answer.text[:80]}"
        if answer.json().get("status") != answer.status_code:
            return f"{answer.status_code} whose document says another"
    return ""
