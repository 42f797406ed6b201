"""What the page of a case shows: the thing itself with what was found in it, its changes, its owner's record, and how
others decided. Values for a template; all of them are escaped there."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from admin_site.frame import masking
from admin_site.frame.display import LISTING_COLOURS, label, link, money, percent, url_of
from admin_site.listings.listing_pictures import thumbnail_url
from backend.core import access
from backend.listings.models import Listing, Photo
from backend.messaging.models import Message
from backend.moderation import history, wording
from backend.moderation.models import LISTING, MESSAGE, REVIEW, Appeal, Case, Decision, Flag, Report
from backend.moderation.snapshots import Change
from backend.reviews.models import Review

FIELD_WORDS = ("title", "description", "house_rules")


def heading(case: Case) -> list[str]:
    """What it is about in two lines."""
    if case.listing is not None:
        where = ", ".join(part for part in (case.listing.city, case.listing.country) if part)
        return [case.listing.title, f"{_('listing')} {case.listing_id} · {where}"]
    if case.message is not None:
        return [_("message %(id)s") % {"id": case.message_id}, case.message.conversation.listing.title]
    if case.review is not None:
        return [_("review %(id)s") % {"id": case.review_id}, case.review.listing.title]
    return [masking.full_name(case.person), f"@{case.person.username}"]


def context(case: Case, reader: Any) -> dict[str, Any]:
    """Everything that the template names."""
    flags = list(Flag.objects.filter(case=case).order_by("status", "pk")[:50])
    reports = Report.objects.filter(case=case).select_related("reporter", "decided_by").order_by("-pk")[:50]
    may = access.can(reader, "case.decide", case)
    return {
        "case": case,
        "heading": heading(case),
        "subject_url": url_of(_shown(case)),
        "listing": _listing(case, flags) if case.kind == LISTING else None,
        "said": _said(case),
        "market": _market(case),
        "changes": _changes(case),
        "reports": [_report(report) for report in reports],
        "flags": [_flag(flag, case, may) for flag in flags],
        "record": _record(history.record(case.person, now=timezone.now())),
        "decisions": [_decision(row) for row in _decisions(case)],
        "appeal": _appeal(case),
        "similar": [_decision(row) for row in history.similar(case)],
        "title": heading(case)[0],
    }


def _shown(case: Case) -> Any:
    return case.message.conversation if case.message is not None else case.subject


def _listing(case: Case, flags: list[Flag]) -> dict[str, Any]:
    listing: Listing = case.subject
    photos = Photo.objects.filter(listing=listing).order_by("position", "id")[:12]
    return {
        "row": listing,
        "state": label(listing.get_status_display(), LISTING_COLOURS[listing.status]),
        "photos": [{"url": thumbnail_url(photo), "caption": photo.caption} for photo in photos],
        "texts": [
            (str(Listing._meta.get_field(name).verbose_name), _marked(getattr(listing, name), name, flags))  # type: ignore[union-attr]
            for name in FIELD_WORDS
            if getattr(listing, name)
        ],
        "facts": [
            (_("price per night"), money(listing.price_minor, listing.currency)),
            (_("cleaning fee"), money(listing.cleaning_fee_minor, listing.currency)),
            (_("room type"), listing.get_room_type_display()),
            (_("guests at most"), listing.max_guests),
            (_("bedrooms"), listing.bedrooms),
            (_("place"), ", ".join(part for part in (listing.location, listing.country) if part)),
            (_("instant book"), _("yes") if listing.instant_book else _("no")),
            (_("rating"), f"★ {listing.rating} ({listing.review_count})" if listing.rating else "–"),
        ],
    }


def _marked(text: str, field: str, flags: list[Flag]) -> list[tuple[str, bool]]:
    """The text in pieces, those marked that an open finding has found in it."""
    words = {
        place["word"]
        for flag in flags
        if flag.status == Flag.Status.OPEN
        for place in flag.found.get("places", ())
        if place["field"] == field and place["word"]
    }
    spans = []
    for word in words:
        at = text.find(word)
        while at >= 0:
            spans.append((at, at + len(word)))
            at = text.find(word, at + len(word))
    return wording.marked(text, spans)


def _said(case: Case) -> str:
    """What a message or a review says; of a message what was kept with its reports."""
    if case.kind == REVIEW:
        review: Review = case.subject
        return str(masking.report(review.comment))
    if case.kind == MESSAGE:
        message: Message = case.subject
        kept = Report.objects.filter(case=case).exclude(evidence="").order_by("-pk").first()
        return str(masking.report(kept.evidence if kept else message.body))
    return ""


def _market(case: Case) -> dict[str, Any] | None:
    found = history.market_of(case)
    if found is None:
        return None
    return _market_words(found.price, found.low, found.median, found.high, found.count, found.deviations)


def _market_words(
    price: float, low: float, median: float, high: float, count: int, deviations: float
) -> dict[str, Any]:
    # A place for the marker on a line from a quarter of the lowest to four times the highest, by factors.
    return {
        "price": _euro(price),
        "low": _euro(low),
        "median": _euro(median),
        "high": _euro(high),
        "count": count,
        "deviations": f"{abs(deviations):.1f}",
        "is_low": deviations < 0,
        "is_odd": abs(deviations) >= 2,
    }


def _euro(value: float) -> str:
    return money(round(value * 100), "EUR")


def _changes(case: Case) -> dict[str, Any] | None:
    if case.kind != LISTING:
        return None
    last, changes = history.changes(case)
    if last is None:
        return {"since": None, "rows": []}
    return {
        "since": f"{last.get_action_display()} · {_at(last.decided_at)}",
        "rows": [_change(change, case.subject) for change in changes],
    }


def _change(change: Change, listing: Listing) -> dict[str, Any]:
    name = change.field.partition(".")[0]
    language = change.field.partition(".")[2]
    words = _("photos") if name == "photos" else str(Listing._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    shown: dict[str, Any] = {"field": f"{words} ({language})" if language else words, "pieces": change.pieces}
    if not change.pieces:
        shown |= {
            "old": _value(name, change.old, listing.currency),
            "new": _value(name, change.new, listing.currency),
        }
    return shown


def _value(name: str, value: Any, currency: str) -> Any:
    if name == "photos":
        return len(value or [])
    if name.endswith("_minor"):
        return money(value, currency)
    return "–" if value in ("", None) else value


def _report(report: Report) -> dict[str, Any]:
    return {
        "url": url_of(report),
        "reason": report.get_reason_display(),
        "by": masking.report(link(report.reporter)),
        "details": masking.report(report.details),
        "ago": timesince(report.created_at, timezone.now(), depth=1),
        "status": report.get_status_display(),
        "is_open": report.status == Report.Status.OPEN,
    }


def _flag(flag: Flag, case: Case, may: bool) -> dict[str, Any]:
    is_open = flag.status == Flag.Status.OPEN
    offers = may and is_open and case.status in Case.IN_HAND
    return {
        "kind": flag.get_kind_display(),
        "severity": flag.get_severity_display(),
        "status": flag.get_status_display(),
        "is_open": is_open,
        "lines": explain(flag),
        "dismiss_url": reverse("admin:moderation_flag_dismiss", args=(flag.pk,)) if offers else "",
    }


def explain(flag: Flag) -> list[Any]:
    """Why something was found, in lines."""
    found = flag.found
    if flag.kind in (Flag.Kind.WORDS, Flag.Kind.CONTACT):
        fields = {name: str(Listing._meta.get_field(name).verbose_name) for name in FIELD_WORDS}  # type: ignore[union-attr]
        lines = [_("by the rule “%(rule)s”") % {"rule": found["rule"]}] if found.get("rule") else []
        return lines + [
            _("“%(word)s” in %(field)s")
            % {"word": masking.report(place["word"]), "field": fields.get(place["field"], place["field"])}
            for place in found.get("places", ())
        ]
    if flag.kind == Flag.Kind.PRICE:
        words = _market_words(**found)
        side = _("below") if words["is_low"] else _("above")
        return [
            _(
                "%(price)s a night; half of %(count)s comparable places cost %(low)s to %(high)s, the middle is %(median)s"
            )
            % words,
            _("%(deviations)s standard deviations %(side)s it") % {**words, "side": side},
        ]
    if flag.kind == Flag.Kind.NEW_HOST:
        return [_("%(listings)s listings in %(days)s days") % found]
    others = (
        Listing.objects.filter(pk__in=found.get("listings", ())).select_related("host").order_by("pk")[:10]
    )
    rows: list[Any] = [link(other, f"{other.title} ({other.host.username})") for other in others]
    if found.get("photos"):
        rows.insert(0, _("the same pictures: %(n)s") % {"n": found["photos"]})
    return rows


def _record(record: history.Record) -> dict[str, Any]:
    person, profile = record.person, record.profile
    standing = record.standing
    verified = [
        words
        for words, at in (
            (_("identity"), profile.identity_verified_at),
            (_("phone"), profile.phone_verified_at),
        )
        if at is not None
    ]
    facts = [
        (_("with us for"), timesince(person.created_at, timezone.now(), depth=1)),
        (_("verified"), ", ".join(verified) or "–"),
        (_("listings (published)"), f"{_many(record.listings)} ({_many(record.published)})"),
        (_("superhost"), _("yes") if profile.is_superhost else _("no")),
        (_("canceled"), percent(standing.cancellation_rate) if standing else "–"),
        (_("open disputes"), _many(record.open_disputes)),
        (_("penalties"), _many(record.penalties)),
        (_("reports (upheld)"), f"{_many(record.reports)} ({_many(record.upheld)})"),
        (_("points that count"), record.points),
    ]
    return {
        "name": masking.full_name(person),
        "url": url_of(person),
        "suspended": person.suspended_at is not None,
        "facts": facts,
        "strikes": [
            {
                "points": strike.points,
                "reason": strike.get_reason_code_display(),
                "until": _at(strike.expires_at),
                "removed": strike.removed_at is not None,
                "counts": strike.removed_at is None and strike.expires_at > timezone.now(),
            }
            for strike in record.strikes
        ],
        "decisions": [_decision(row) for row in record.decisions],
    }


def _many(count: int) -> str:
    return f"{history.COUNTED - 1}+" if count >= history.COUNTED else str(count)


def _decisions(case: Case) -> QuerySet[Decision]:
    rows = Decision.objects.filter(case=case).select_related("decided_by", "case__listing", "appeal")
    return rows.order_by("pk")


def _decision(row: Decision) -> dict[str, Any]:
    return {
        "what": row.get_action_display(),
        "reason": row.get_reason_code_display() if row.reason_code else "",
        "words": masking.report(row.words) if row.words else "",
        "by": row.decided_by.username if row.decided_by else _("the system"),
        "at": _at(row.decided_at),
        "about": row.case.listing.title if row.case.listing is not None else "",
        "url": url_of(row.case),
        "reversed": row.reversed_at is not None,
    }


def _appeal(case: Case) -> dict[str, Any] | None:
    appeal = Appeal.objects.filter(decision__case=case).select_related("decided_by", "decision").first()
    if appeal is None:
        return None
    return {
        "words": masking.report(appeal.words),
        "at": _at(appeal.created_at),
        "status": appeal.get_status_display(),
        "is_open": appeal.status == Appeal.Status.OPEN,
        "note": masking.report(appeal.note) if appeal.note else "",
    }


def _at(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATE_FORMAT")
