"""What a payment provider is to us: a handful of calls, each with our own key, and webhooks.

An adapter translates in and out and decides nothing. It may be asked the same order any number of times: the key makes
the second time a repetition. It answers ``failed`` only for a definite refusal; whatever leaves the outcome open
(time run out, 5xx, a broken connection) it raises as ``ProviderUnavailable``.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from backend.core.errors import DomainError

Status = Literal["succeeded", "failed", "pending", "unknown"]


class ProviderUnavailable(Exception):
    """The provider did not say what became of the order: it may have been carried out."""


class KeyReused(RuntimeError):
    """A defect: one key was used for two different orders."""


class ForgedWebhook(DomainError):
    """400: the signature is missing, wrong or too old, or what it signs is no event."""

    status = 400
    code = "forged_webhook"
    title = _("The signature of this webhook is not valid.")


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a provider. Amounts are minor units.

    ``key`` is the money operation's id; ``parent_ref`` the provider's reference of what is captured, voided or
    refunded; ``reference`` the provider's reference of this very order where it is known already; ``at`` the
    caller's clock.
    """

    key: str
    kind: str
    amount_minor: int
    currency: str
    at: datetime
    parent_ref: str = ""
    reference: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What a provider said about an order.

    ``pending``: taken on, the outcome comes later. ``unknown``: nothing was heard. ``client`` holds what the
    guest's own client needs to go on (``client_secret``, ``approval_url``, ``message``).
    """

    status: Status
    reference: str = ""
    error_code: str = ""
    client: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook. ``key`` is our own key where the provider hands it back, ``object_ref`` its reference."""

    id: str
    type: str
    object_ref: str
    key: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a provider's own list of what it did, for reconciliation."""

    key: str
    kind: str
    reference: str
    amount_minor: int
    currency: str
    status: Status


class Provider(abc.ABC):
    """The interface of every adapter. Calls are made outside of transactions; adapters share no state."""

    name: str

    @abc.abstractmethod
    def accepted_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of an order as they will be kept. Raises: Invalid."""

    @abc.abstractmethod
    def authorize(self, order: Order) -> Result:
        """Set the amount aside on the guest's side. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def charge(self, order: Order) -> Result:
        """Authorize and capture at once. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def capture(self, order: Order) -> Result:
        """Take what was authorized as ``parent_ref``. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def void(self, order: Order) -> Result:
        """Let go what was authorized as ``parent_ref``. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def refund(self, order: Order) -> Result:
        """Give back (a part of) what was taken as ``parent_ref``. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def look_up(self, order: Order) -> Result | None:
        """What became of an order, by its key or reference; None when it never arrived. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """The event in ``body``, when its signature is the provider's and fresh at ``now``. Raises: ForgedWebhook."""

    @abc.abstractmethod
    def list_recent(self, since: datetime) -> Iterable[Movement]:
        """What the provider did for us from ``since`` on. Raises: ProviderUnavailable."""

    def carry_out(self, order: Order) -> Result:
        """Ask what ``order.kind`` says. Raises: ProviderUnavailable."""
        calls = {
            "authorize": self.authorize,
            "charge": self.charge,
            "capture": self.capture,
            "void": self.void,
            "refund": self.refund,
        }
        return calls[order.kind](order)
