"""The money desk's first page: what waits, the most urgent first, in sums per currency; what will be paid; the books."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import DISPUTE_COLOURS, day, instant, label, link, money, number, side
from admin_site.home import next_steps, waiting
from backend.payments import closing, desk, failures, reconciliation
from backend.payments.models import (
    Dispute,
    DisputeAnswer,
    MoneyOp,
    PayoutHold,
    ProviderRoute,
    ReconciliationDifference,
)
from backend.payments.providers import registry
from backend.payments.states import OpState

DISPUTES_SHOWN = 10


@dataclass
class Section:
    """Something that waits: what it is, why and what to do, and one line per heap; each number leads to its list."""

    key: str
    title: str
    icon: str
    why: str
    url: str
    headers: Sequence[str] = ()
    rows: list[list[Any]] = field(default_factory=list)
    is_urgent: bool = False
    count: int = 0
    sums: dict[str, int] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        return "danger" if self.is_urgent else "warning"

    @property
    def shown_sums(self) -> list[str]:
        return [money(minor, currency) for currency, minor in sorted(self.sums.items()) if currency]


def view(request: HttpRequest) -> HttpResponseBase:
    """Everything is read now, by a fixed number of queries over what waits."""
    now = timezone.now()
    found = [
        *(_disputes(now), _unknown(now), _troubled(now), _held(now), _approvals(now)),
        *(_failed_refunds(now), _differences(now), _overdue(now), _providers(now), _failed_charges(now)),
    ]
    there = [section for section in found if section.rows]
    return PAGE.render(
        request,
        "admin_site/money.html",
        {
            "sections": sorted(there, key=lambda section: not section.is_urgent),
            "calm": [section for section in found if not section.rows],
            "coming_headers": [
                _("Day"),
                _("Currency"),
                _("Will be sent"),
                _("Amount"),
                _("On hold"),
                _("Amount"),
            ],
            "coming": _coming(now),
            "balance_headers": [_("Account"), _("Currency"), _("Balance"), _("Last movement")],
            "balances": _balances(),
            "read_at": instant(now, seconds=True),
        },
    )


PAGE = register_page(CustomPage("money", gettext_lazy("Money desk"), "point_of_sale", view, rule="money.see"))


def _list(model: str, **query: str) -> str:
    """The list of ``model`` (``payments_payout``), narrowed down."""
    address = reverse(f"admin:{model}_changelist")
    return f"{address}?{urlencode(query)}" if query else address


def _to(url: str, words: Any) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', url, words)


def _since(moment: datetime | None, now: datetime) -> str:
    return "–" if moment is None else timesince(moment, now, depth=1)


def _section(section: Section, heaps: Iterable[desk.Heap]) -> Section:
    for heap in heaps:
        section.count += heap.count
        section.sums[heap.currency] = section.sums.get(heap.currency, 0) + heap.minor
    return section


def _held(now: datetime) -> Section:
    heaps = desk.held_payouts()
    section = Section(
        "held",
        _("Payouts on hold"),
        "front_hand",
        _(
            "Hosts wait for this money. Look at each reason: release what is cleared up, remind hosts without an account."
        ),
        _list("payments_payout", status__exact="on_hold"),
        [_("Why"), _("Held by"), _("Payouts"), _("Amount"), _("For"), _("What to do")],
    )
    for heap in heaps:
        reason, owner = heap.what
        url = _list("payments_payout", held_by=reason, currency=heap.currency)
        section.rows.append(
            [
                _to(url, PayoutHold.Reason(reason).label),
                owner or _("the rules"),
                number(heap.count),
                money(heap.minor, heap.currency),
                _since(heap.since, now),
                next_steps.what_ends(reason),
            ]
        )
    return _section(section, heaps)


def _overdue(now: datetime) -> Section:
    heaps = desk.due_payouts(now)
    words = {"overdue": _("overdue"), "today": _("today"), "tomorrow": _("tomorrow")}
    section = Section(
        "due",
        _("Payouts that are due"),
        "event_upcoming",
        _(
            "They are sent by themselves within a minute of being due. What is overdue for long has met an error."
        ),
        _list("payments_payout", due="today"),
        [_("Due"), _("Payouts"), _("Amount"), _("Since")],
        is_urgent=any(heap.what == ("overdue",) for heap in heaps),
    )
    for heap in heaps:
        url = _list("payments_payout", due=heap.what[0], currency=heap.currency)
        since = _since(heap.since, now) if heap.what == ("overdue",) else "–"
        section.rows.append(
            [_to(url, words[heap.what[0]]), number(heap.count), money(heap.minor, heap.currency), since]
        )
    return _section(section, heaps)


def _troubled(now: datetime) -> Section:
    heaps = desk.troubled_payouts()
    section = Section(
        "troubled",
        _("Payouts that failed for good or came back"),
        "running_with_errors",
        _("Nothing happens to them by itself. Ask the host for another account, then try again."),
        _list("payments_payout", attention="yes"),
        [_("Failure"), _("Payouts"), _("Amount"), _("For")],
        is_urgent=True,
    )
    for heap in heaps:
        url = _list("payments_payout", attention="yes", currency=heap.currency)
        section.rows.append(
            [
                _to(url, _failure(heap.what[0])),
                number(heap.count),
                money(heap.minor, heap.currency),
                _since(heap.since, now),
            ]
        )
    return _section(section, heaps)


def _failure(code: str) -> str:
    return f"{failures.words(code)} ({code})" if code else _("It came back.")


def _unknown(now: datetime) -> Section:
    heaps = desk.open_operations(now, longer_than=waiting.OPEN_TOO_LONG)
    section = Section(
        "unknown",
        _("Money without an outcome"),
        "sync_problem",
        _(
            "The provider was asked and nobody knows the answer. Nothing is lost: it is asked again under the same key."
        ),
        _list("payments_moneyop", outcome="open"),
        [
            _("Operation"),
            _("Provider"),
            _("State"),
            _("Count"),
            _("Amount"),
            _("For"),
            _("What happens next"),
        ],
        is_urgent=True,
    )
    for heap in heaps:
        provider, kind, state = heap.what
        url = _list("payments_moneyop", outcome="open", kind__exact=kind, provider=provider)
        section.rows.append(
            [
                _to(url, MoneyOp.Kind(kind).label),
                provider,
                OpState(state).label,
                number(heap.count),
                money(heap.minor, heap.currency),
                _since(heap.since, now),
                next_steps.of_operation(state, heap.since, now),
            ]
        )
    return _section(section, heaps)


def _differences(now: datetime) -> Section:
    heaps = desk.differences()
    section = Section(
        "differences",
        _("Differences with providers"),
        "difference",
        _(
            "Our books and a provider's list disagree. Find out which is right before month's end, and say what it was."
        ),
        _list("payments_reconciliationdifference", settled="open"),
        [_("Difference"), _("Provider"), _("Count"), _("For")],
        is_urgent=True,
    )
    for heap in heaps:
        provider, what = heap.what
        url = _list("payments_reconciliationdifference", settled="open", what__exact=what, provider=provider)
        section.rows.append(
            [
                _to(url, ReconciliationDifference.What(what).label),
                provider,
                number(heap.count),
                _since(heap.since, now),
            ]
        )
    return _section(section, heaps)


def _disputes(now: datetime) -> Section:
    rows = desk.open_disputes(DISPUTES_SHOWN)
    section = Section(
        "disputes",
        _("Disputes"),
        "gavel",
        _("A guest's bank asks a payment back. Without an answer in time it is lost."),
        _list("payments_dispute", open="1"),
        [_("Dispute"), _("Booking"), _("Amount"), _("State"), _("Time left"), _("Answer")],
    )
    answers = {
        answer.dispute_id: answer
        for answer in DisputeAnswer.objects.filter(dispute__in=rows).order_by("created_at")
    }
    for dispute in rows:
        section.rows.append(
            [
                link(dispute),
                link(getattr(dispute.payment.folio, "booking", None)),
                money(dispute.amount_minor, dispute.currency),
                label(dispute.get_status_display(), DISPUTE_COLOURS[dispute.status]),
                next_steps.time_left(dispute, now),
                next_steps.answered(dispute, answers.get(dispute.pk)),
            ]
        )
        section.sums[dispute.currency] = section.sums.get(dispute.currency, 0) + dispute.amount_minor
        due = dispute.evidence_due_at
        if dispute.status == Dispute.Status.NEEDS_RESPONSE and due is not None:
            section.is_urgent |= (due - now).total_seconds() < next_steps.SOON.total_seconds()
    section.count = len(rows)
    return section


def _approvals(now: datetime) -> Section:
    heaps = desk.waiting_refunds()
    section = Section(
        "approvals",
        _("Refunds that need a second person"),
        "approval_delegation",
        _("Somebody of the team wants to give back more than one may alone. Whoever did not ask decides."),
        _list("payments_refundrequest", status__exact="waiting"),
        [_("Currency"), _("Refunds"), _("Amount"), _("For")],
    )
    for heap in heaps:
        url = _list("payments_refundrequest", status__exact="waiting", currency=heap.currency)
        section.rows.append(
            [
                _to(url, heap.currency),
                number(heap.count),
                money(heap.minor, heap.currency),
                _since(heap.since, now),
            ]
        )
    return _section(section, heaps)


def _failed_refunds(now: datetime) -> Section:
    heaps = desk.failed_refunds()
    section = Section(
        "refunds",
        _("Refunds that did not reach the guest"),
        "money_off",
        _("The guest is owed it still. Make it again, or agree on another way with the guest."),
        _list("payments_payment", attention="refunds"),
        [_("Provider"), _("Refunds"), _("Amount"), _("For")],
        is_urgent=True,
    )
    for heap in heaps:
        url = _list("payments_payment", attention="refunds", provider=heap.what[0], currency=heap.currency)
        section.rows.append(
            [
                _to(url, heap.what[0]),
                number(heap.count),
                money(heap.minor, heap.currency),
                _since(heap.since, now),
            ]
        )
    return _section(section, heaps)


def _failed_charges(now: datetime) -> Section:
    heaps = desk.failed_charges(now)
    section = Section(
        "charges",
        _("Payments that failed in the last day"),
        "credit_card_off",
        _(
            "Guests try again by themselves. Many at one provider mean that it is in trouble: switch its route off."
        ),
        _list("payments_payment", status__exact="failed", kind__exact="payment"),
        [_("Provider"), _("Payments"), _("Amount")],
    )
    for heap in heaps:
        url = _list(
            "payments_payment",
            status__exact="failed",
            kind__exact="payment",
            provider=heap.what[0],
            currency=heap.currency,
        )
        section.rows.append([_to(url, heap.what[0]), number(heap.count), money(heap.minor, heap.currency)])
    return _section(section, heaps)


def _providers(now: datetime) -> Section:
    """Routes that lead nowhere, and providers whose list could not be compared."""
    section = Section(
        "providers",
        _("Providers in trouble"),
        "cloud_off",
        _("Money takes the next best way, or none. Look at the route, or at the failed comparison."),
        _list("payments_providerroute"),
        [_("What"), _("Provider"), _("Since")],
        is_urgent=True,
    )
    known = registry.configured()
    for route in ProviderRoute.objects.order_by("id")[:200]:
        if route.is_active and route.provider in known:
            continue
        words = (
            _("route switched off")
            if route.provider in known
            else _("route to a provider that is not set up")
        )
        section.rows.append([link(route, words), route.provider, "–"])
    for standing in reconciliation.standing():
        if standing.failure:
            url = _list("payments_reconciliationrun")
            words = _("its list could not be compared: {failure}").format(failure=standing.failure)
            section.rows.append([_to(url, words), standing.provider, _since(standing.good_at, now)])
    section.count = len(section.rows)
    return section


def _coming(now: datetime) -> list[list[Any]]:
    return [
        [
            _to(
                _list("payments_payout", due_at_from=row.day, due_at_to=row.day, currency=row.currency),
                _day(row.day),
            ),
            row.currency,
            number(row.free),
            money(row.free_minor, row.currency),
            number(row.held) if row.held else "–",
            money(row.held_minor, row.currency) if row.held else "–",
        ]
        for row in desk.coming(now)
    ]


def _day(iso: str) -> str:
    return day(datetime.fromisoformat(iso).date())


def _balances() -> list[list[Any]]:
    rows = []
    for balance in closing.balances():
        url = _list("payments_ledgerentry", account=balance.account, currency=balance.currency)
        rows.append(
            [
                _to(url, balance.account),
                balance.currency,
                side(balance.minor, balance.currency),
                instant(balance.last_at),
            ]
        )
    return rows
