"""Listings, cases and decisions for tests of moderation, as the operations leave them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction

from backend.accounts.models import User
from backend.listings.models import Listing
from backend.moderation import cases, deciding
from backend.moderation import services as moderation
from backend.moderation.models import Case, Decision, Report
from backend.notifications.models import Notification
from tests.factories import NOW, make_listing, make_user

LATER = NOW + timedelta(hours=1)


def reported(listing: Listing, reporter: User | None = None, **said: Any) -> Report:
    """A report of ``listing``."""
    values = {"reason": "inaccurate", "details": "", "now": NOW, **said}
    return moderation.report_listing(reporter=reporter or make_user(), listing_id=listing.pk, **values)


def waiting(**fields: Any) -> tuple[Listing, Case]:
    """A listing that waits for approval, and its case."""
    listing = make_listing(status="pending_review", published_at=None, **fields)
    with transaction.atomic():
        return listing, cases.offered(listing, now=NOW)


def decide(case: Case | int, action: str, by: User | None = None, **said: Any) -> Decision:
    """What a moderator decides in ``case``, an hour later."""
    values = {"code": "", "words": "", "now": LATER, **said}
    case_id = case if isinstance(case, int) else case.pk
    return deciding.decide(actor=by or make_user("moderator"), case_id=case_id, action=action, **values)


def rejected(host: User | None = None, code: str = "inaccurate", **said: Any) -> Decision:
    """A decision against a listing of ``host``."""
    report = reported(make_listing(host))
    assert report.case_id is not None
    return decide(report.case_id, "reject", code=code, **said)


def told(user: User) -> list[str]:
    """The kinds of what somebody was told, in order."""
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))
