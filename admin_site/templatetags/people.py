"""People in the templates of the back office."""

from __future__ import annotations

from django import template

from admin_site.frame import masking
from backend.accounts.models import User

register = template.Library()


@register.filter
def full_name(user: User) -> str:
    """The name as whoever reads the page may see it."""
    return masking.full_name(user)
