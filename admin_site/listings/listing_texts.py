"""What a listing says in other languages, on its page: moderators read every language that guests do."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from admin_site.frame.base import Rows
from backend.listings.models import ListingText


class Texts(Rows):
    """Written by the host, over the API."""

    model = ListingText
    verbose_name_plural = _("Other languages")
    fields = ("language", "title", "description", "house_rules", "updated_at")
    readonly_fields = fields
    ordering = ("language",)
