"""What all pages have in common: they show, and change nothing but through an action."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import unquote
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.views import ChangeList

from admin_site.frame.display import dialog_links
from backend.core import access

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

    def page(self, number: Any) -> Any:
        """The rows of a page. Deep ones are looked up by their keys: nothing is joined to the rows before them."""
        page = super().page(number)
        if page.number > 1:
            rows: Any = self.object_list
            slice_of_them: Any = page.object_list
            page.object_list = rows.filter(pk__in=list(slice_of_them.values_list("pk", flat=True)))
        return page


class Rowset(ChangeList):
    """A list that is not narrowed down shows all there is: its title needs no way to "all"."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


def once(column: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A column that is worked out once for a row. Unfold asks a page's field for its value up to seven times."""

    @wraps(column)
    def shown(page: Any, row: Any) -> Any:
        values: dict[str, Any] = row.__dict__.setdefault("_shown", {})
        if column.__qualname__ not in values:
            values[column.__qualname__] = column(page, row)
        return values[column.__qualname__]

    return shown


class ReadOnly:
    """Nothing is added, changed or deleted by a form, whatever permissions a group may have."""

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        for name, member in list(vars(cls).items()):
            # What ``display`` marks, and takes nothing but a row.
            if hasattr(member, "short_description") and len(signature(member).parameters) == 2:
                setattr(cls, name, once(member))

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

    in_tabs: frozenset[str] = frozenset()
    """Actions that stand over the rows of a tab (``Rows.over``) instead of at the top of the page."""

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the list may be taken along as a table; see ``exporting``."""
        return self.has_view_permission(request) and access.can(request.user, "rows.export")

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
        named = [
            (action.action_name.removeprefix(prefix), action)
            for action in super().get_actions_detail(request, object_id)
        ]
        return [
            action
            for name, action in named
            if name not in self.in_tabs and self.offered.get(name, lambda _row: True)(row)
        ]

    def get_actions_in_tab(self, request: HttpRequest, object_id: Any, names: tuple[str, ...]) -> list[Any]:
        """Those of the actions ``names`` of the row's page that whoever asks may run."""
        actions = [self.get_unfold_action(name) for name in names]
        return self._filter_unfold_actions_by_permissions(request, actions, object_id)

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
    """Rows that belong to another one, in a tab of its page.

    ``over`` names actions of the page that stand over the rows, ``each`` those of the rows' own page that stand beside
    every row: dialogs both, for whoever ``may_act`` on the row that all of them belong to.
    """

    extra = 0
    max_num = 0
    tab = True
    can_delete = False
    show_change_link = False
    hide_title = True
    per_page = 20
    template_before = "admin_site/tab_actions.html"
    over: tuple[str, ...] = ()
    each: tuple[str, ...] = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see the page may see what belongs to it."""
        return True

    def may_act(self, request: HttpRequest, parent: Any) -> bool:
        """Whether the rows' actions are offered; each asks its operation's own rule again."""
        return False

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # Unlike its page, an inline is made anew for each request.
        page: Any = self.admin_site.get_model_admin(type(obj)) if obj is not None and self.over else None
        actions = page.get_actions_in_tab(request, obj.pk, self.over) if page else []
        self.offers = [
            {"title": action.description, "url": reverse(f"admin:{action.action_name}", args=(obj.pk,))}
            for action in actions
        ]
        return super().get_formset(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        return (*fields, "acts") if self.each and obj is not None and self.may_act(request, obj) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "acts")

    @display(description=_("actions"))
    def acts(self, row: Model) -> str:
        page: Any = self.admin_site.get_model_admin(type(row))
        return dialog_links(row, [(name, page.get_unfold_action(name).description) for name in self.each])
