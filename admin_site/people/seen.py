"""What a person's own pages show, read as that person; see ``viewing``. Everything here only reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from admin_site.frame import masking
from admin_site.frame.display import (
    BOOKING_COLOURS,
    LISTING_COLOURS,
    day,
    days,
    instant,
    label,
    money,
)
from backend.accounts.models import User
from backend.availability import calendar as calendars
from backend.bookings import services
from backend.bookings.models import Booking
from backend.bookings.sentences import describe
from backend.bookings.step_sentences import OF_STEPS
from backend.core import access
from backend.core.errors import NotFound
from backend.listings.models import Listing, hosted_by
from backend.messaging import overview
from backend.messaging.models import Conversation
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from backend.payments.models import Payout, PayoutAccount

NEWEST = 20
"""How many rows a page shows, the newest."""

AHEAD = 60
"""How many days of a calendar are shown."""

Link = tuple[str, int | None]
"""A page of theirs that a cell leads to: section and number."""


def profile(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/profile/, with what is masked from the reader masked."""
    own = person.profile
    return {
        "template": "pairs",
        "pairs": [
            (_("username"), person.username),
            (_("name"), masking.full_name(person)),
            (_("email"), masking.email(person.email)),
            (_("phone"), masking.phone(own.phone)),
            (_("phone verified at"), instant(own.phone_verified_at)),
            (_("identity verified at"), instant(own.identity_verified_at)),
            (_("roles"), ", ".join(sorted(person.roles)) or "–"),
            (_("speaks"), ", ".join(own.languages) or "–"),
            (_("wants to be served in"), own.language or "–"),
            (_("currency"), own.currency or "–"),
            (_("time zone"), own.timezone or "–"),
            (_("about"), own.bio or "–"),
            (_("created at"), instant(person.created_at)),
            (
                _("devices signed in"),
                person.sessions.filter(revoked_at=None, expires_at__gt=now)[:NEWEST].count(),
            ),
        ],
    }


def bookings(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/bookings/, as guest and as host."""
    headers = [_("booking"), _("listing"), _("stay"), _("guests"), _("status"), _("total")]
    own = Booking.objects.select_related("listing").order_by("-id")
    return {
        "template": "tables",
        "tables": [
            (title, headers, [_booking_cells(row) for row in rows[:NEWEST]])
            for title, rows in (
                (_("As a guest"), own.as_guest(person)),
                (_("As a host"), own.as_host(person)),
            )
        ],
    }


def _booking_cells(row: Booking) -> list[tuple[Any, Link | None]]:
    return _plain(
        row.listing.title,
        days(row.check_in, row.check_out),
        row.guests,
        label(row.get_status_display(), BOOKING_COLOURS[row.status]),
        money(row.total_minor, row.currency),
        first=(row.reference, ("booking", row.pk)),
    )


def booking(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/bookings/{id}/ with its breakdown, its steps and what canceling would give back. Raises: NotFound."""
    row = Booking.objects.visible_to(person).detailed().filter(pk=number or 0).first()
    if row is None:
        raise NotFound
    currency, detail = row.currency, row.detail
    owed = services.preview(row, paid_minor=detail.held_minor, now=now)
    is_host = row.host_id == person.pk
    pairs = [
        (_("listing"), row.listing.title),
        (_("stay"), days(row.check_in, row.check_out)),
        (_("guest"), row.guest.first_name),
        (_("host"), row.host.first_name),
        (_("guests"), row.guests),
        (_("status"), label(row.get_status_display(), BOOKING_COLOURS[row.status])),
        (_("expires at"), instant(row.expires_at)),
        (_("total"), money(row.total_minor, currency)),
        (_("paid"), money(detail.held_minor, currency)),
    ]
    if is_host:
        pairs.append((_("host's payout"), money(row.host_payout_minor, currency)))
    tiers = [(instant(tier.until) if tier.until else _now("later"), tier.decision) for tier in owed.timeline]
    return {
        "template": "booking",
        "heading": row.reference,
        "pairs": pairs,
        "tables": [
            (
                _("Price"),
                [_("line"), _("amount")],
                [
                    _plain(describe(line.code, line.quantity, line.rule), money(line.amount_minor, currency))
                    for line in detail.lines
                ],
            ),
            (
                _("What canceling gives back"),
                [_("until"), _("guest gets back"), _("host's side keeps")],
                [
                    _plain(until, money(made.refund_minor, currency), money(made.host_keeps_minor, currency))
                    for until, made in tiers
                ],
            ),
            (
                _("Steps"),
                [_("at"), _("what happened")],
                [_plain(instant(step.at), OF_STEPS.get(step.event, step.event)) for step in detail.steps],
            ),
        ],
    }


def listings(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/host/properties/: those of their own and those that they keep."""
    rows = Listing.objects.filter(hosted_by(person, listing="pk")).exclude(status="archived").order_by("-id")
    return {
        "template": "tables",
        "tables": [
            (
                "",
                [_("listing"), _("city"), _("status"), _("price per night"), _("calendar")],
                [
                    [
                        *_plain(
                            row.title,
                            row.city or "–",
                            label(row.get_status_display(), LISTING_COLOURS[row.status]),
                            money(row.price_minor, row.currency),
                        ),
                        (_("Calendar"), ("calendar", row.pk)),
                    ]
                    for row in rows[:NEWEST]
                ],
            )
        ],
    }


def calendar(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/properties/{id}/calendar/ as its host is given it. Raises: NotFound for one that they do not keep."""
    listing = Listing.objects.filter(hosted_by(person, listing="pk"), pk=number or 0).first()
    if listing is None:
        raise NotFound
    first = calendars.today(listing, now)
    nights = calendars.read(listing=listing, start=first, end=first + timedelta(days=AHEAD), now=now)
    return {
        "template": "tables",
        "heading": listing.title,
        "tables": [
            (
                "",
                [_("date"), _("free"), _("price"), _("nights at least"), _("why closed"), _("note")],
                [
                    _plain(
                        day(night.date),
                        label(_("yes"), "success") if night.available else label(_("no"), "default"),
                        money(night.price_minor, listing.currency),
                        night.min_nights,
                        night.reason or "",
                        night.note,
                    )
                    for night in nights
                ],
            )
        ],
    }


def conversations(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/conversations/, without the words: these are read one conversation at a time, each on record."""
    rows = list(overview.listed(person).order_by("-updated_at", "-id")[:NEWEST])
    shown = overview.payloads(rows, reader_id=person.pk, language=get_language() or "")
    return {
        "template": "tables",
        "tables": [
            (
                "",
                [_("conversation"), _("with"), _("unread"), _("last message at")],
                [
                    _plain(
                        ", ".join(
                            each["first_name"] for each in row["participants"] if each["id"] != person.pk
                        ),
                        row["unread_count"],
                        instant(source.last_message_at),
                        first=(row["property"], ("conversation", row["id"])),
                    )
                    for source, row in zip(rows, shown, strict=True)
                ],
            )
        ],
    }


def conversation_of(person: User, number: int | None) -> Conversation | None:
    """A conversation that the person is in."""
    return overview.of(person).filter(pk=number or 0).first()


def conversation(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/conversations/{id}/messages/; the words come from ``revealing``. Raises: NotFound."""
    row = conversation_of(person, number)
    if row is None:
        raise NotFound
    return {
        "template": "conversation",
        "heading": row.listing.title,
        "may_read": access.can(reader, "conversation.look", row),
    }


def notifications(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/notifications/."""
    rows = Notification.objects.filter(user=person).order_by("-id")[:NEWEST]
    language = get_language() or ""
    return {
        "template": "tables",
        "tables": [
            (
                "",
                [_("notice"), _("text"), _("told at"), _("read at")],
                [
                    _plain(*render(row, language), instant(row.created_at), instant(row.read_at))
                    for row in rows
                ],
            )
        ],
    }


def payouts(person: User, reader: Any, number: int | None, now: datetime) -> dict[str, Any]:
    """GET /api/payouts/ and GET /api/payout-accounts/."""
    rows = Payout.objects.filter(receiver=person).order_by("-id")[:NEWEST]
    accounts = PayoutAccount.objects.filter(user=person).order_by("id")[:NEWEST]
    return {
        "template": "tables",
        "tables": [
            (
                _("Payouts"),
                [_("payout"), _("amount"), _("status"), _("due at"), _("paid at")],
                [
                    _plain(
                        row.reference,
                        money(row.amount_minor, row.currency),
                        row.get_status_display(),
                        instant(row.due_at),
                        instant(row.paid_at),
                    )
                    for row in rows
                ],
            ),
            (
                _("Payout accounts"),
                [_("provider"), _("shown as"), _("currency"), _("status")],
                [
                    _plain(
                        row.provider,
                        row.shown if masking.sees(masking.NAME) else masking.HIDDEN,
                        row.currency or "–",
                        row.get_status_display(),
                    )
                    for row in accounts
                ],
            ),
        ],
    }


def _plain(*values: Any, first: tuple[Any, Link] | None = None) -> list[tuple[Any, Link | None]]:
    """Cells without links, behind one with a link where ``first`` is given."""
    cells: list[tuple[Any, Link | None]] = [first] if first else []
    return [*cells, *((value, None) for value in values)]
