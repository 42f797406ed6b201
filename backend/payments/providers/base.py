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
from typing import Any, ClassVar, Literal, NamedTuple, Self

from django.utils.translation import gettext_lazy as _

from backend.core.errors import DomainError
from backend.payments.providers import units

Status = Literal["succeeded", "failed", "pending", "unknown"]
Stage = Literal["", "sent", "arrived", "returned"]
Topic = Literal["order", "dispute", "account", "delivery", "other"]


ABANDONED = "abandoned"
"""The error of an order that we gave up ourselves, since nobody waits for it any more."""


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

    ``key`` is the money operation's id; ``parent_ref`` the provider's reference of what is captured, voided,
    refunded or taken back; ``reference`` the provider's reference of this very order where it is known already;
    ``at`` the caller's clock, ``since`` when the operation was written down (default: now). A payout goes to ``destination``: the provider's own account, or the address that it
    pays to (an email, a phone number).

    A refund of what was set aside first names in ``taken_ref`` what then took it. ``is_open`` is false for an order
    that has its outcome: such a one is looked up and never finished. ``group`` names the stay, for the provider's books.
    """

    key: str
    kind: str
    amount_minor: int
    currency: str
    at: datetime
    parent_ref: str = ""
    reference: str = ""
    taken_ref: str = ""
    destination: str = ""
    is_open: bool = True
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None


class Card(NamedTuple):
    """What a provider tells of the card that paid."""

    brand: str = ""
    last4: str = ""


NO_CARD = Card()


@dataclass(frozen=True, slots=True)
class Result:
    """What a provider said about an order.

    ``pending``: taken on, the outcome comes later. ``unknown``: nothing was heard. ``client`` holds what the
    guest's own client needs to go on (``client_secret``, ``approval_url``, ``message``). ``fee_minor`` is what the
    provider kept, in the order's currency. ``stage`` is about a payout that succeeded: it has been ``sent``, has
    ``arrived`` at the bank, or was ``returned`` afterwards; for a refund too, ``returned`` says that it came back. ``card`` is the one that paid, where
    there is one and the provider tells.
    """

    status: Status
    reference: str = ""
    error_code: str = ""
    client: dict[str, str] = field(default_factory=dict)
    fee_minor: int = 0
    stage: Stage = ""
    card: Card = NO_CARD


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook. ``key`` is our own key where the provider hands it back, ``object_ref`` its reference.

    ``topic`` says what ``object_ref`` names: an order, a dispute, an account of one of our hosts (also in
    ``account``), or a delivery of payouts to a bank. ``other`` is kept and not acted on.
    """

    id: str
    type: str
    object_ref: str
    key: str
    payload: dict[str, Any]
    topic: Topic = "order"
    account: str = ""


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

    sets_aside: bool = True
    """Whether it can hold an amount on the guest's side before it is taken."""

    needs_phone: bool = False
    """Whether it takes the guest's phone number as the option ``phone``."""

    lists: ClassVar[frozenset[str]] = frozenset(
        {"authorize", "charge", "capture", "void", "refund", "payout", "reverse"}
    )
    """The kinds of orders that ``list_recent`` tells all of: one that is missing there was not carried out."""

    @classmethod
    def configured(cls) -> Self | None:
        """The adapter as the settings make it; None where its keys are not set."""
        return None

    def takes(self, currency: str) -> bool:
        """Whether guests can pay in ``currency`` (ISO 4217) here."""
        return units.takes(self.name, currency)

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
        """The event in ``body``, when its signature is the provider's and fresh at ``now``.

        A provider that signs by the address it was given finds the path in ``headers`` under ``:path``.
        Raises: ForgedWebhook; Unavailable when it cannot be told now and the provider should send it again.
        """

    @abc.abstractmethod
    def list_recent(self, since: datetime) -> Iterable[Movement]:
        """What the provider did for us from ``since`` on. Raises: ProviderUnavailable."""

    gives_up: bool = False
    """Whether it can withdraw what still waits for the guest."""

    def give_up(self, order: Order) -> Result | None:
        """Withdraw an order that still waits for the guest, so that it cannot succeed any more.

        What became of it then: ``failed`` with ``ABANDONED``, or what happened a moment before. None where it cannot
        be withdrawn. Raises: ProviderUnavailable.
        """
        return None

    def carry_out(self, order: Order) -> Result:
        """Ask what ``order.kind`` says. Raises: ProviderUnavailable."""
        calls = {
            "authorize": self.authorize,
            "charge": self.charge,
            "capture": self.capture,
            "void": self.void,
            "refund": self.refund,
        }
        if isinstance(self, PaysOut):
            calls |= {"payout": self.payout, "reverse": self.reverse}
        return calls[order.kind](order)


class PaysOut(Provider):
    """A provider that pays hosts, too."""

    pays_to: Literal["nothing", "email", "phone"] = "nothing"
    """What a host names to be paid there. ``nothing``: the provider has accounts of its own, or needs none."""

    def payout_step(self, currency: str) -> int:
        """The smallest amount, in our minor units, whose multiples it can pay out. Raises: CannotMove."""
        return units.unit(self.name, currency, payout=True).step

    def pays(self, currency: str, country: str) -> bool:
        """Whether hosts in ``country`` (ISO 3166, empty: unknown) can be paid in ``currency``."""
        return self.takes(currency)

    @abc.abstractmethod
    def payout(self, order: Order) -> Result:
        """Pay ``order.destination``. ``succeeded`` when the money has left us. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def reverse(self, order: Order) -> Result:
        """Take (a part of) the payout ``parent_ref`` back; ``failed`` where that cannot be. Raises: ProviderUnavailable."""

    def delivered(self, reference: str, account: str) -> list[str]:
        """Our keys of the payouts that arrived with a delivery to the bank of ``account``, where the provider bundles them.

        Raises: ProviderUnavailable.
        """
        return []


@dataclass(frozen=True, slots=True)
class AccountState:
    """A host's account as the provider sees it: may it be paid, and what is still asked for."""

    reference: str
    status: Literal["pending", "active", "restricted", "disabled"]
    requirements: list[str] = field(default_factory=list)
    shown: str = ""
    currency: str = ""
    country: str = ""


class OpensAccounts(PaysOut):
    """A provider that keeps accounts of our hosts and asks for their papers itself."""

    @abc.abstractmethod
    def open_account(self, *, key: str, email: str, country: str, currency: str) -> AccountState:
        """Open an account; the same ``key`` gives the same one. Raises: ProviderUnavailable, Invalid."""

    @abc.abstractmethod
    def onboarding_link(self, reference: str, *, return_url: str, refresh_url: str) -> str:
        """Where the host goes on with the provider; used once, soon. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def account(self, reference: str) -> AccountState:
        """The account as it is now. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def close_account(self, reference: str) -> bool:
        """Have the account and what is known of its owner deleted there; one that is gone is deleted.

        False when the provider does not do it (now): money may lie on it. Raises: ProviderUnavailable.
        """


@dataclass(frozen=True, slots=True)
class DisputeState:
    """A dispute as the provider tells it now. Amounts are minor units of ``currency``.

    ``parent_ref`` is the provider's reference of the payment that is disputed.
    """

    reference: str
    parent_ref: str
    amount_minor: int
    currency: str
    status: Literal["needs_response", "under_review", "won", "lost"]
    reason: str
    funds_withdrawn: bool
    opened_at: datetime
    evidence_due_at: datetime | None = None
    fee_minor: int = 0


class TellsDisputes(Provider):
    """A provider whose payments can be disputed with the guest's bank."""

    @abc.abstractmethod
    def dispute(self, reference: str) -> DisputeState:
        """The dispute as it is now. Raises: ProviderUnavailable."""

    @abc.abstractmethod
    def disputes_since(self, since: datetime) -> list[str]:
        """The references of the disputes that were opened from ``since`` on. Raises: ProviderUnavailable."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for us against a dispute, in words that a bank reads. What is empty is not sent.

    ``text`` is what the staff say; the others are facts of the stay: what was sold, to whom, for which days, on which
    terms it could be canceled, and what happened when.
    """

    text: str
    product: str = ""
    customer_name: str = ""
    customer_email: str = ""
    service_days: str = ""
    terms: str = ""
    log: str = ""


class AnswerRefused(Exception):
    """The provider takes no such answer: too late, answered already, or not in this state."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AnswersDisputes(TellsDisputes):
    """A provider that takes our answer to a dispute. The same key is the same answer, however often it is given."""

    takes_evidence: ClassVar[bool] = True
    """Whether evidence is taken here too, or on the provider's own page only."""

    @abc.abstractmethod
    def give_evidence(self, reference: str, evidence: Evidence, *, key: str) -> None:
        """Submit evidence; it can be done once. Raises: AnswerRefused, KeyReused, ProviderUnavailable."""

    @abc.abstractmethod
    def accept_dispute(self, reference: str, *, key: str) -> None:
        """Give in: the dispute is lost. Raises: AnswerRefused, KeyReused, ProviderUnavailable."""
