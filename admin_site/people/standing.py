"""How hosts stood, quarter by quarter."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, RangeDateFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.base import Page
from admin_site.frame.display import link, percent
from backend.accounts.models import HostStanding


@admin.register(HostStanding)
class HostStandingPage(Page):
    """Written once for each quarter; nothing here can be changed."""

    icon = "workspace_premium"
    list_display = ("quarter", "who", "is_superhost", "stays", "nights", "answered", "canceled", "rating")
    list_filter = (("is_superhost", BooleanRadioFilter), ("quarter", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("host",)
    search_fields = ("id",)
    search_help_text = _("Name or email")
    ordering = ("-id",)
    fields = (
        ("who", "quarter"),
        ("is_superhost", "computed_at"),
        ("stays", "nights"),
        ("answered", "canceled"),
        "rating",
    )
    readonly_fields = ("who", "answered", "canceled")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[HostStanding], search_term: str
    ) -> tuple[QuerySet[HostStanding], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(host__in=finding.people_ids(search_term)), False

    @display(description=_("host"))
    def who(self, row: HostStanding) -> str:
        return link(row.host)

    @display(description=_("answered within a day"))
    def answered(self, row: HostStanding) -> str:
        return percent(row.response_rate)

    @display(description=_("canceled"))
    def canceled(self, row: HostStanding) -> str:
        return percent(row.cancellation_rate)
