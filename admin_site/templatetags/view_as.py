"""Addresses and times on the pages that are seen through somebody's eyes."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format

from admin_site.people import viewing
from backend.accounts.models import User

register = template.Library()


@register.simple_tag
def eyes(person: User, link: tuple[str, int | None]) -> str:
    """The address of a page of theirs."""
    return viewing.url(person.pk, *link)


@register.filter
def clock(at: datetime) -> str:
    """The time of day on the reader's clock."""
    return date_format(timezone.localtime(at), "TIME_FORMAT")


@register.filter
def minutes(seconds: int) -> int:
    """Whole minutes, begun ones counted."""
    return -(-int(seconds) // 60)
