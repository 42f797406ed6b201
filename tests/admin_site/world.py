"""Staff of every role and a marketplace with a row on every page, as the operations leave it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings.models import Booking
from backend.core.stay import Stay
from tests.bookings.making import book, confirmed
from tests.factories import PASSWORD, make_listing, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}


def staff(*roles: str, **fields: Any) -> User:
    """A member of staff with ``roles`` who can sign in with ``PASSWORD``."""
    return make_user(*roles, password=PASSWORD, is_staff=True, **fields)


def signed_in(user: User) -> Client:
    """A browser in which ``user`` is signed in to the back office."""
    client = Client()
    client.force_login(user, backend="backend.identity.backends.AccountBackend")
    return client


def coming_stay(nights: int = 3, in_days: int = 20) -> Stay:
    """A stay that is still to come by the machine's clock, which the pages go by."""
    check_in = (timezone.now() + timedelta(days=in_days)).date()
    return Stay(check_in, check_in + timedelta(days=nights))


def make_booking(**listing: Any) -> Booking:
    """A paid and confirmed booking of three coming nights at 100.00 EUR."""
    now = timezone.now()
    return confirmed(make_listing(**listing), make_user(), now=now, stay=coming_stay())


def make_request(**listing: Any) -> Booking:
    """A booking that waits for its host."""
    place = make_listing(instant_book=False, **listing)
    return book(place, make_user(), now=timezone.now(), stay=coming_stay())


def audited(action: str) -> AuditEntry:
    """The one entry of ``action`` in the audit log."""
    return AuditEntry.objects.select_related("actor").get(action=action)
