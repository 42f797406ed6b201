"""Filters of lists that are kept by name. What is kept is one's own business, so nothing is asked and nothing audited."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_site.models import SavedFilter
from backend.accounts.models import User
from backend.core.errors import Conflict, Invalid

AT_MOST = 30
"""So many a person may keep, and so many of others stand beside a list."""

LEFT_OUT = {"q", "p", "o", "e", "all", "_popup", "_to_field"}
"""Parameters of a list that are no filters: words, pages, orders."""


class TooManyFilters(Conflict):
    """409: one has as many as there is room for."""

    code = "too_many_filters"
    title = gettext_lazy("You have kept as many filters as there is room for. Remove one first.")


def narrowed(query: str) -> str:
    """The filters of an address's query, without what else stands there."""
    pairs = [
        (key, value) for key, value in parse_qsl(query) if key not in LEFT_OUT and "\0" not in key + value
    ]
    return urlencode(pairs)


def of_list(user: User, page: str) -> QuerySet[SavedFilter]:
    """Those that ``user`` is shown beside the list of ``page`` (``app.model``): their own first, then everybody's."""
    mine = Q(owner=user) | Q(is_shared=True)
    return (
        SavedFilter.objects.filter(mine, page=page)
        .select_related("owner")
        .order_by("is_shared", "name", "id")[: 2 * AT_MOST]
    )


def keep(*, owner: User, page: str, name: str, query: str, is_shared: bool, now: datetime) -> SavedFilter:
    """Keep the filters of ``query`` for the list of ``page``; a name that one has already is given to the new ones.

    Raises: Invalid (no filter in it, or too many), TooManyFilters.
    """
    filters = narrowed(query)
    if not filters or len(filters) > 1000:
        raise Invalid.field(
            "query", "no_filter", _("Narrow the list down first; then its filters can be kept.")
        )
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        kept = SavedFilter.objects.filter(owner=owner)
        if kept.count() >= AT_MOST and not kept.filter(page=page, name=name).exists():
            raise TooManyFilters
        values = {"query": filters, "is_shared": is_shared, "created_at": now}
        row, _made = SavedFilter.objects.update_or_create(owner=owner, page=page, name=name, defaults=values)
        return row


class KeepForm(forms.Form):
    page = forms.CharField(max_length=80)
    name = forms.CharField(max_length=60)
    query = forms.CharField(max_length=4000)
    is_shared = forms.BooleanField(required=False)


def keep_view(request: HttpRequest) -> HttpResponse:
    """POST from beside a list, back to which it leads."""
    form = KeepForm(request.POST)
    if not form.is_valid():
        messages.error(
            request, _("A filter needs a name of at most 60 characters, and something to narrow down.")
        )
        return HttpResponseRedirect(reverse("admin:index"))
    given = form.cleaned_data
    page = _page(given["page"])
    if page is None or not page.has_view_permission(request):
        raise PermissionDenied
    user: Any = request.user
    try:
        row = keep(
            owner=user,
            page=given["page"],
            name=given["name"],
            query=given["query"],
            is_shared=given["is_shared"],
            now=timezone.now(),
        )
    except (TooManyFilters, Invalid) as refused:
        messages.error(request, str(refused.detail))
        return HttpResponseRedirect(_address(given["page"]))
    messages.success(request, _("The filter is kept."))
    return HttpResponseRedirect(f"{_address(row.page)}?{row.query}")


def forget_view(request: HttpRequest, filter_id: int) -> HttpResponse:
    """POST; a filter of somebody else is none (404)."""
    user: Any = request.user
    row = get_object_or_404(SavedFilter, pk=filter_id, owner=user)
    page = row.page
    row.delete()
    messages.success(request, _("The filter is forgotten."))
    return HttpResponseRedirect(_address(page))


def _page(label: str) -> Any:
    return next(
        (page for model, page in admin.site._registry.items() if model._meta.label_lower == label), None
    )


def _address(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")
