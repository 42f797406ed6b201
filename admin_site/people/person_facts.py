"""The desk on a person's page: facts with their rows, money, stays, places, notices and what was done to the account.

Everything is read for who may see its pages: of what somebody may not look at they are told neither rows nor numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db.models import Q, Sum
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from admin_site.bookings import calendar_pictures
from admin_site.frame import masking
from admin_site.frame.display import (
    BOOKING_COLOURS,
    LISTING_COLOURS,
    days,
    instant,
    label,
    link,
    money,
    sees_phones,
)
from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings.models import Booking
from backend.core import access
from backend.listings.models import CoHost, Listing
from backend.moderation import persons
from backend.moderation.models import Report
from backend.moderation.persons import Fact, Row
from backend.moderation.reasons import REASONS
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from backend.payments import ledger
from backend.payments.models import Payment, PayoutAccount
from backend.payments.states import DisputeStatus, PaymentStatus
from backend.privacy import obstacles

NEWEST = 6
"""How many of their stays, places, notices and acts are shown; the lists have the rest."""


@dataclass(frozen=True)
class Words:
    """How a fact is called, what it tells, and which permission its rows take."""

    title: Any
    tells: Any
    needs: str
    personal: bool = False
    """Its details are network addresses."""


WORDS: dict[str, Words] = {
    "devices": Words(
        _("Devices and networks"),
        _("Where they signed in within 90 days, one line for each device and network."),
        "accounts.view_session",
        personal=True,
    ),
    "stopped_sign_ins": Words(
        _("Failed sign-ins"),
        _("Hours in which so many sign-ins failed that further ones were stopped."),
        "accounts.view_user",
    ),
    "credentials": Words(
        _("Sign-in changed lately"),
        _("Password, email, phone and second step within 30 days."),
        "accounts.view_user",
    ),
    "payout_accounts": Words(
        _("Payout accounts changed lately"),
        _("Named or replaced within 30 days."),
        "payments.view_payoutaccount",
    ),
    "cards": Words(_("Failed payments"), _("Cards and wallets that were refused."), "payments.view_payment"),
    "disputes": Words(
        _("Disputes and chargebacks"),
        _("Their own payments that their bank disputes."),
        "payments.view_dispute",
    ),
    "disputes_as_host": Words(
        _("Disputes at their places"), _("Payments of their guests."), "payments.view_dispute"
    ),
    "refunds": Words(_("Refunds"), _("What went back to them as a guest."), "payments.view_payment"),
    "canceled": Words(_("Canceled as a guest"), _("Stays that they gave up."), "bookings.view_booking"),
    "canceled_as_host": Words(
        _("Canceled as a host"), _("Stays of guests that they called off."), "bookings.view_booking"
    ),
    "reported": Words(
        _("Reports about them"), _("About them and about their places."), "moderation.view_report"
    ),
    "reports": Words(_("Reports by them"), _("What they reported themselves."), "moderation.view_report"),
    "strikes": Words(_("Strikes"), _("Decisions against them that still count."), "moderation.view_report"),
    "blocked": Words(
        _("Blocked by"), _("People who want no messages from them."), "messaging.view_conversation"
    ),
    "same_phone": Words(_("Same phone number"), _("Other accounts with this number."), "accounts.view_user"),
    "same_account": Words(
        _("Same payout account"), _("Other hosts who are paid to it."), "payments.view_payoutaccount"
    ),
    "same_device": Words(
        _("Same device and network"),
        _("Others who signed in from the same network with the same browser within 90 days."),
        "accounts.view_session",
        personal=True,
    ),
}

_CREDENTIALS = {
    "password.changed": _("password changed"),
    "password.reset": _("password reset by mail"),
    "email.changed": _("email changed"),
    "phone.verified": _("phone verified"),
    "mfa.disabled": _("second step switched off"),
    "mfa.enabled": _("second step switched on"),
    "identity.linked": _("account elsewhere linked"),
    "identity.unlinked": _("account elsewhere unlinked"),
}

_SAYS: dict[str, Callable[[Row], Any]] = {
    "stopped_sign_ins": lambda row: _("%(count)s hours") % {"count": row.words},
    "credentials": lambda row: _CREDENTIALS.get(row.words, row.words),
    "payout_accounts": lambda row: dict(PayoutAccount.Status.choices).get(row.words, row.words),
    "disputes": lambda row: dict(DisputeStatus.choices).get(row.words, row.words),
    "disputes_as_host": lambda row: dict(DisputeStatus.choices).get(row.words, row.words),
    "refunds": lambda row: dict(PaymentStatus.choices).get(row.words, row.words),
    "reported": lambda row: _reported(row),
    "reports": lambda row: _reported(row),
    "strikes": lambda row: REASONS[row.words].label if row.words in REASONS else row.words,
}


def _reported(row: Row) -> str:
    reason = dict(Report.Reason.choices).get(row.words, row.words)
    return f"{reason} · {dict(Report.Status.choices).get(row.detail, row.detail)}"


@dataclass
class Shown:
    """A fact as the page shows it."""

    key: str
    title: Any
    tells: Any
    count: str
    lines: list[tuple[Any, str, str, str]]
    """Words, detail, when, amount."""


@dataclass
class Desk:
    """What the page shows besides the account itself."""

    facts: list[Shown] = field(default_factory=list)
    calm: list[Any] = field(default_factory=list)
    """Titles of facts without a row."""
    marks: list[tuple[Any, Any, bool]] = field(default_factory=list)
    money: list[tuple[Any, str]] = field(default_factory=list)
    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    tables: list[tuple[Any, Any, str, list[Any], list[tuple[Any, ...]]]] = field(default_factory=list)
    """Title, words of the link to the whole list, its address, headers, rows."""
    links: list[tuple[Any, str]] = field(default_factory=list)
    """Lists elsewhere that are narrowed to them."""
    obstacles: list[str] | None = None


def of(request: HttpRequest, user: User, *, now: datetime) -> Desk:
    """The desk for whoever asks. A fixed number of queries."""
    reader: Any = request.user
    desk = Desk(marks=_marks(user))
    visible = [key for key, words in WORDS.items() if reader.has_perm(words.needs)]
    for fact in persons.facts(user, visible, now=now):
        words = WORDS[fact.key]
        if not fact.rows:
            desk.calm.append(words.title)
            continue
        count = f"{fact.count}+" if fact.more else str(fact.count)
        hides = words.personal and not sees_phones(reader)
        desk.facts.append(Shown(fact.key, words.title, words.tells, count, _lines(fact, hides)))
    if reader.has_perm("payments.view_payment"):
        desk.money = _money(user)
        desk.accounts = _accounts(user)
    desk.tables = [made for make in _TABLES if (made := make(reader, user)) is not None]
    if reader.has_perm("messaging.view_conversation"):
        address = reverse("admin:messaging_conversation_changelist")
        desk.links.append((_("Their conversations"), f"{address}?q={user.username}"))
    if access.can(reader, "calendar.look") and Listing.objects.filter(host=user).exists():
        desk.links.append((_("Calendars of their places"), calendar_pictures.of_host(user.pk)))
    if access.can(reader, "privacy.erase", user) and user.erased_at is None:
        desk.obstacles = [each.sentence for each in obstacles.of(user, now)]
    return desk


def _marks(user: User) -> list[tuple[Any, Any, bool]]:
    """What is proven of somebody: words, since when, whether it is."""
    profile = user.profile
    confirmed = EmailAddress.objects.filter(user=user, verified=True, primary=True).exists()
    has_second_step = Authenticator.objects.filter(user=user).exists()
    return [
        (_("email confirmed"), "", confirmed),
        (_("phone verified"), instant(profile.phone_verified_at), profile.phone_verified_at is not None),
        (
            _("identity verified"),
            instant(profile.identity_verified_at),
            profile.identity_verified_at is not None,
        ),
        (_("second step on"), "", has_second_step),
        (_("superhost"), "", profile.is_superhost),
    ]


def _lines(fact: Fact, hides: bool) -> list[tuple[Any, str, str, str]]:
    return [
        (
            _linked(row, _SAYS[fact.key](row) if fact.key in _SAYS else row.words),
            masking.HIDDEN
            if hides and row.detail
            else ""
            if fact.key in ("reported", "reports")
            else row.detail,
            instant(row.at),
            money(row.amount_minor, row.currency) if row.amount_minor is not None else "",
        )
        for row in fact.rows
    ]


def _linked(row: Row, words: Any) -> Any:
    """The words as a link to the page of their row, where there is one."""
    if not row.key:
        return words
    try:
        url = reverse(f"admin:{row.model.replace('.', '_')}_change", args=(row.key,))
    except NoReverseMatch:
        return words
    return format_html('<a href="{}" class="text-link">{}</a>', url, words)


def _money(user: User) -> list[tuple[Any, str]]:
    """What they paid, got back and are owed, in each currency."""
    done = (PaymentStatus.COMPLETED, PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED)
    refunds = Q(kind=Payment.Kind.REFUND)
    sums = (
        Payment.objects.filter(folio__guest=user, status__in=done)
        .values("currency")
        .annotate(paid=Sum("amount_minor", filter=~refunds), back=Sum("amount_minor", filter=refunds))
        .order_by("currency")
    )
    lines: list[tuple[Any, str]] = []
    for row in sums:
        lines.append((_("Paid as a guest"), money(row["paid"] or 0, row["currency"])))
        if row["back"]:
            lines.append((_("Refunded"), money(row["back"], row["currency"])))
    for currency, minor in sorted(ledger.payable_to(user.pk).items()):
        words = _("We owe them as a host") if minor > 0 else _("They owe us as a host")
        lines.append((words, money(abs(minor), currency)))
    return lines


def _accounts(user: User) -> list[tuple[Any, ...]]:
    return [
        (
            link(row, row.provider),
            row.shown if masking.sees(masking.NAME) else masking.HIDDEN,
            row.currency or "–",
            label(row.get_status_display(), "success" if row.status == "active" else "warning"),
            _("default") if row.is_default else "",
        )
        for row in PayoutAccount.objects.filter(user=user).order_by("-is_default", "id")[:NEWEST]
    ]


Table = tuple[Any, Any, str, list[Any], list[tuple[Any, ...]]]


def _as_guest(reader: Any, user: User) -> Table | None:
    return _stays(reader, user, _("Stays as a guest"), "guest")


def _as_host(reader: Any, user: User) -> Table | None:
    return _stays(reader, user, _("Stays as a host"), "host")


def _stays(reader: Any, user: User, title: Any, side: str) -> Table | None:
    if not reader.has_perm("bookings.view_booking"):
        return None
    rows = Booking.objects.filter(**{side: user}).select_related("listing").order_by("-id")[:NEWEST]
    return (
        title,
        _("All their bookings"),
        f"{reverse('admin:bookings_booking_changelist')}?q={user.username}",
        [_("booking"), _("listing"), _("stay"), _("status"), _("total")],
        [
            (
                link(row, row.reference),
                row.listing.title,
                days(row.check_in, row.check_out),
                label(row.get_status_display(), BOOKING_COLOURS[row.status]),
                money(row.total_minor, row.currency),
            )
            for row in rows
        ],
    )


def _places(reader: Any, user: User) -> Table | None:
    if not reader.has_perm("listings.view_listing"):
        return None
    rows = Listing.objects.filter(host=user).order_by("-id")[:NEWEST]
    return (
        _("Places"),
        _("All their listings"),
        f"{reverse('admin:listings_listing_changelist')}?q={user.username}",
        [_("listing"), _("city"), _("status"), _("rating"), _("reviews")],
        [
            (
                link(row),
                row.city or "–",
                label(row.get_status_display(), LISTING_COLOURS[row.status]),
                row.rating or "–",
                row.review_count,
            )
            for row in rows
        ],
    )


def _keepers(reader: Any, user: User) -> Table | None:
    if not reader.has_perm("listings.view_cohost"):
        return None
    rows = (
        CoHost.objects.filter(listing__host=user).select_related("user", "listing").order_by("-id")[:NEWEST]
    )
    return (
        _("Co-hosts of their places"),
        _("All co-hosts"),
        f"{reverse('admin:listings_cohost_changelist')}?q={user.username}",
        [_("co-host"), _("listing"), _("since")],
        [(link(row.user), link(row.listing), instant(row.created_at)) for row in rows],
    )


def _notices(reader: Any, user: User) -> Table | None:
    if not reader.has_perm("notifications.view_notification"):
        return None
    rows = Notification.objects.filter(user=user).order_by("-id")[:NEWEST]
    language = get_language() or ""
    return (
        _("Notices"),
        _("All their notices"),
        f"{reverse('admin:notifications_notification_changelist')}?q={user.username}",
        [_("notice"), _("told at"), _("read at")],
        [
            (link(row, render(row, language)[0]), instant(row.created_at), instant(row.read_at))
            for row in rows
        ],
    )


def _acts(reader: Any, user: User) -> Table | None:
    if not reader.has_perm("audit.view_auditentry"):
        return None
    about = {"object_type": "user", "object_id": str(user.pk)}
    rows = (
        AuditEntry.objects.filter(**about)
        .exclude(action="view_as.seen")
        .select_related("actor")
        .order_by("-id")[:NEWEST]
    )
    query = f"object_type__exact=user&object_id__exact={user.pk}"
    return (
        _("What was done to the account"),
        _("The whole record"),
        f"{reverse('admin:audit_auditentry_changelist')}?{query}",
        [_("act"), _("by"), _("at"), _("reason")],
        [
            (
                link(row, row.action),
                row.actor.username if row.actor else _now("the system"),
                instant(row.at),
                row.reason or "–",
            )
            for row in rows
        ],
    )


_TABLES: Sequence[Callable[[Any, User], Table | None]] = (
    *(_as_guest, _as_host, _places),
    *(_keepers, _notices, _acts),
)
