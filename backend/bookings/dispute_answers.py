"""Answering a dispute: the evidence, or that it is accepted, told to the provider from here.

An answer is a row before it is told, and its id is the key under which it is told: should nobody hear what came of it, the
same answer is given again (``settle``). What the provider makes of it is learned as everything about disputes is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.bookings import disputing, policies
from backend.bookings.cancellation import terms_of
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core import access
from backend.core.db import constraint_errors, lock, outside_transaction
from backend.core.errors import Conflict, DomainError, Invalid, WrongState
from backend.core.formats import money_with_code
from backend.payments.models import Dispute, DisputeAnswer, Document
from backend.payments.providers import registry
from backend.payments.providers.base import (
    AnswerRefused,
    AnswersDisputes,
    Evidence,
    KeyReused,
    ProviderUnavailable,
)

Kind, State = DisputeAnswer.Kind, DisputeAnswer.State

FORGOTTEN_AFTER = timedelta(minutes=2)
"""How long an answer may be on its way before it is given again: whoever gave it is not at it any more."""

SHORTEST = 20
"""How much the staff say at least, in characters: one word convinces no bank."""

log = structlog.get_logger(__name__)


class AlreadyAnswered(Conflict):
    """The dispute was answered, or is being answered now."""

    code = "already_answered"
    title = _("This dispute is answered already.")


class NotAnsweredHere(Conflict):
    """The provider takes such answers on its own page only."""

    code = "not_answered_here"
    title = _("This provider takes such an answer on its own page only.")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that speaks for us, whether we have it, and what the bank is told of it."""

    name: str
    title: Any
    text: str

    @property
    def is_there(self) -> bool:
        return bool(self.text)


@access.rule("dispute.answer")
def may_answer(actor: Any, dispute: Dispute | None) -> bool:
    """Speak for the platform to a bank: the finance team."""
    return bool(actor.has_role(FINANCE, ADMIN))


def takes(dispute: Dispute, kind: str) -> bool:
    """Whether an answer of this kind can be given from here."""
    adapter = registry.configured().get(dispute.provider)
    return isinstance(adapter, AnswersDisputes) and (kind != Kind.EVIDENCE or adapter.takes_evidence)


def facts(dispute: Dispute) -> list[Fact]:
    """What we know of the stay that a bank asks for, in English, which all of them read."""
    booking = (
        Booking.objects.filter(folio=dispute.payment.folio_id)
        .select_related("listing", "guest", "folio")
        .prefetch_related("transitions")
        .first()
    )
    with override("en"):
        return [
            Fact("product", _("What was sold"), _product(booking)),
            Fact("customer", _("Who bought it"), "" if booking is None else booking.guest.get_full_name()),
            Fact("email", _("The guest's email address"), "" if booking is None else booking.guest.email),
            Fact("days", _("When the stay was"), "" if booking is None else _days(booking)),
            Fact(
                "terms",
                _("The terms of cancellation that were agreed"),
                "" if booking is None else _terms(booking),
            ),
            Fact("log", _("What happened when"), "" if booking is None else _log(booking, dispute)),
        ]


def give_evidence(
    *, actor: Any, dispute_id: int, text: str, leave_out: Sequence[str] = (), now: datetime
) -> DisputeAnswer:
    """Answer a dispute with ``text`` and the facts of the stay but those that are left out (names).

    Told to the provider before this returns, unless that does not answer: then ``settle`` tells it. It can be done once.
    Never inside a transaction. Raises: NotFound, NotAllowed, WrongState, Invalid (too short), AlreadyAnswered,
    NotAnsweredHere.
    """
    said = text.strip()[:5000]
    return _answer(actor, dispute_id, Kind.EVIDENCE, said, leave_out, now)


def accept(*, actor: Any, dispute_id: int, reason: str, now: datetime) -> DisputeAnswer:
    """Give in: the dispute is lost, and whoever the platform's settings say bears it. ``reason`` is for the staff.

    Never inside a transaction. Raises: as ``give_evidence``.
    """
    return _answer(actor, dispute_id, Kind.ACCEPTANCE, reason.strip()[:5000], (), now)


def settle(*, now: datetime) -> dict[str, int]:
    """Give the answers again that nobody has heard of; how many were ``settled`` and how many are ``open`` still.

    Never inside a transaction.
    """
    counts = {"settled": 0, "open": 0}
    late = now - FORGOTTEN_AFTER
    left = DisputeAnswer.objects.filter(state__in=[State.SENDING, State.UNKNOWN], created_at__lte=late)
    for answer_id in list(left.order_by("created_at").values_list("pk", flat=True)):
        answer = _tell(answer_id, now)
        counts["open" if answer.state in (State.SENDING, State.UNKNOWN) else "settled"] += 1
    return counts


def _answer(
    actor: Any, dispute_id: int, kind: str, text: str, leave_out: Sequence[str], now: datetime
) -> DisputeAnswer:
    outside_transaction("a payment provider")
    with transaction.atomic():
        dispute = lock(Dispute.objects.select_related("payment"), pk=dispute_id)
        access.require(actor, "dispute.answer", dispute)
        if kind == Kind.EVIDENCE and len(text) < SHORTEST:
            message = _("Say in at least %(least)s characters what speaks for us.") % {"least": SHORTEST}
            raise Invalid.field("note", "too_short", message)
        if not text:
            raise Invalid.field("reason", "required", _("Say why."))
        if dispute.status != Dispute.Status.NEEDS_RESPONSE:
            raise WrongState(extra={"state": dispute.status})
        if not takes(dispute, kind):
            raise NotAnsweredHere
        given = [fact.name for fact in facts(dispute) if fact.is_there and fact.name not in leave_out]
        with constraint_errors({"dispute_answers_once": AlreadyAnswered}):
            answer = DisputeAnswer.objects.create(
                dispute=dispute,
                version=dispute.version,
                kind=kind,
                text=text,
                facts=given if kind == Kind.EVIDENCE else [],
                given_by=actor,
                created_at=now,
            )
        audit.record(
            actor=actor,
            action="dispute.answer" if kind == Kind.EVIDENCE else "dispute.accept",
            subject=dispute,
            now=now,
            after={"kind": kind, "facts": answer.facts, "key": str(answer.pk)},
            reason=text[:1000] if kind == Kind.ACCEPTANCE else "",
        )
    return _tell(answer.pk, now)


def _tell(answer_id: UUID, now: datetime) -> DisputeAnswer:
    """Give an answer (again), keep what came of it, and learn what the provider made of it."""
    DisputeAnswer.objects.filter(pk=answer_id).update(attempts=F("attempts") + 1)
    answer = DisputeAnswer.objects.select_related("dispute__payment").get(pk=answer_id)
    adapter = registry.get(answer.dispute.provider)
    assert isinstance(adapter, AnswersDisputes), "an answer is written for who takes it"  # noqa: S101
    reference, state, code = answer.dispute.provider_ref, State.SENT, ""
    try:
        if answer.kind == Kind.EVIDENCE:
            adapter.give_evidence(reference, _evidence(answer), key=str(answer.pk))
        else:
            adapter.accept_dispute(reference, key=str(answer.pk))
    except AnswerRefused as refused:
        state, code = State.REFUSED, refused.code[:60]
    except KeyReused:
        # It was given before in other words, since the stay has gone on: what was given then counts.
        log.warning("dispute_answer_known", answer=str(answer.pk))
    except ProviderUnavailable as error:
        log.warning("dispute_answer_unknown", answer=str(answer.pk), error=str(error))
        state = State.UNKNOWN
    settled = None if state == State.UNKNOWN else now
    open_still = DisputeAnswer.objects.filter(pk=answer.pk, state__in=[State.SENDING, State.UNKNOWN])
    open_still.update(state=state, error_code=code, settled_at=settled)
    if state != State.UNKNOWN:
        _hear(adapter, reference, now)
    answer.refresh_from_db()
    return answer


def _hear(adapter: AnswersDisputes, reference: str, now: datetime) -> None:
    try:
        disputing.hear(adapter, reference, now=now)
    except (DomainError, ProviderUnavailable) as error:
        # The webhook tells it, or the hourly look.
        log.warning("dispute_not_heard", provider=adapter.name, dispute=reference, error=str(error))


def _evidence(answer: DisputeAnswer) -> Evidence:
    known = {fact.name: fact.text for fact in facts(answer.dispute) if fact.name in answer.facts}
    return Evidence(
        text=answer.text,
        product=known.get("product", ""),
        customer_name=known.get("customer", ""),
        customer_email=known.get("email", ""),
        service_days=known.get("days", ""),
        terms=known.get("terms", ""),
        log=known.get("log", ""),
    )


def _product(booking: Booking | None) -> str:
    if booking is None:
        return ""
    nights = (booking.check_out - booking.check_in).days
    place = ", ".join(word for word in (booking.listing.city, booking.listing.country) if word)
    return (
        f"Stay of {nights} nights for {booking.guests} guests at “{booking.listing.title}”"
        f"{f' in {place}' if place else ''}, booking {booking.reference}"
    )


def _days(booking: Booking) -> str:
    if booking.status not in (BookingStatus.CONFIRMED, BookingStatus.COMPLETED):
        return ""
    return f"{booking.check_in.isoformat()} to {booking.check_out.isoformat()}"


def _terms(booking: Booking) -> str:
    if booking.confirmed_at is None:
        return ""
    terms = terms_of(booking)
    lines = [f"Cancellation policy “{terms.policy.code}”, shown before the payment and agreed to with it."]
    for tier in policies.timeline(terms, booking.confirmed_at):
        back = money_with_code(tier.decision.refund_minor, booking.currency, "en")
        until = f"until {_at(tier.until)}" if tier.until else "afterwards"
        lines.append(
            f"Canceled {until}: {back} of {money_with_code(booking.total_minor, booking.currency, 'en')} back."
        )
    return "\n".join(lines)


def _log(booking: Booking, dispute: Dispute) -> str:
    happened = [(step.at, f"booking {step.event} by {step.by}") for step in booking.transitions.all()]
    paid = dispute.payment
    if paid.completed_at:
        amount = money_with_code(paid.charged_minor, paid.charged_currency, "en")
        happened.append((paid.completed_at, f"payment {paid.reference} of {amount} completed"))
    for paper in Document.objects.filter(folio=booking.folio_id, emailed_at__isnull=False):
        if paper.emailed_at:
            happened.append((paper.emailed_at, f"{paper.kind} {paper.reference} mailed to the guest"))
    return "\n".join(f"{_at(at)} {what}" for at, what in sorted(happened))


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
