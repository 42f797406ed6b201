"""What all pages have in common: they show, and change nothing but through an action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import unquote
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList

COUNTED = 10_000
"""Lists are counted this far. Whoever wants to go deeper searches."""


def has_role(request: HttpRequest, *roles: str) -> bool:
    """Whether whoever asks is signed in and has one of the roles."""
    user: Any = request.user
    return bool(user.is_authenticated and user.has_role(*roles))


class BoundedPaginator(Paginator):
    """Counts at most ``COUNTED`` rows, so that no list costs a walk over a large table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


class Rowset(ChangeList):
    """A list that is not narrowed down shows all there is: its title needs no way to "all"."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ReadOnly:
    """Nothing is added, changed or deleted by a form, whatever permissions a group may have."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Page(ReadOnly, ModelAdmin):
    """A list and a page of one kind of row. Effects come from dialogs; see ``actions``."""

    icon = "data_object"
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    paginator = BoundedPaginator
    list_fullwidth = True
    list_disable_select_all = True
    compressed_fields = True
    sortable_by: tuple[str, ...] = ()
    """No column by default: sorting a large table by a column without an index reads all of it."""

    offered: dict[str, Callable[[Any], bool]] = {}
    """Action → whether a row's state lets it make sense. It hides a button; the operation has the last word."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Rowset

    def get_row(self, request: HttpRequest, object_id: str) -> Any:
        """The row of a page, fetched once per request; None where there is none."""
        rows: dict[str, Any] = request.__dict__.setdefault("_rows", {})
        if object_id not in rows:
            rows[object_id] = self.get_object(request, unquote(str(object_id)))
        return rows[object_id]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_row(request, str(object_id))
        if row is None:
            return []
        prefix = f"{self.model._meta.app_label}_{self.model._meta.model_name}_"
        return [
            action
            for action in super().get_actions_detail(request, object_id)
            if self.offered.get(action.action_name.removeprefix(prefix), lambda _row: True)(row)
        ]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An object's history is what the audit log says of it."""
        query = {"object_type__exact": self.model._meta.model_name, "object_id__exact": unquote(object_id)}
        return HttpResponseRedirect(f"{reverse('admin:audit_auditentry_changelist')}?{urlencode(query)}")

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Acts stand in the audit log; Django's own would be a second and poorer one."""
        return None


class Rows(ReadOnly, TabularInline):
    """Rows that belong to another one, in a tab of its page."""

    extra = 0
    max_num = 0
    tab = True
    can_delete = False
    show_change_link = False
    hide_title = True
    per_page = 20

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see the page may see what belongs to it."""
        return True
