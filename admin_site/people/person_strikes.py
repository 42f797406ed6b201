"""The strikes of a person, in a tab of their page, each with the case that it comes from."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from admin_site.frame.base import Rows
from admin_site.frame.display import label, link
from backend.moderation.models import Strike


class Strikes(Rows):
    """Newest first, those that count no longer too."""

    model = Strike
    fk_name = "person"
    verbose_name_plural = _("Strikes")
    fields = ("created_at", "points", "reason_code", "state", "expires_at", "of_case")
    readonly_fields = fields
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("moderation.view_strike"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Strike]:
        return super().get_queryset(request).select_related("decision__case")

    @display(description=_("state"))
    def state(self, strike: Strike) -> str:
        if strike.removed_at is not None:
            return label(_("taken back"), "default")
        if strike.expires_at <= timezone.now():
            return label(_("over"), "default")
        return label(_("counts"), "danger")

    @display(description=_("case"))
    def of_case(self, strike: Strike) -> str:
        return link(strike.decision.case)
