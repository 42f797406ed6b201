"""One action for several rows that are ticked in a list: each by its own operation, the outcome told row by row.

A page takes ``Ticked`` in, which puts boxes before its rows, and names the action over its list::

    class PayoutPage(Ticked, Page):
        actions_list = ("release_many",)

        @many_action(title=_("Release"), question=_("…"), done=_("Released: {count}."), permission="release_many")
        def release_many(self, request, row, given):
            payouts.release(actor=request.user, payout_id=row.pk, reason=given["reason"], now=timezone.now())

A row that its operation refuses stays as it was, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldBooleanWidget

from admin_site.frame.actions import DEFAULT, ReasonForm, go
from admin_site.frame.exporting import TICKED_ROWS
from backend.core.errors import DomainError

AT_MOST = 50
"""How many rows are done at once: those of one page."""


class Ticked:
    """A list whose rows have a box: one of our own, since Django's script for its own looks for the bar of its actions."""

    class Media:
        js = ("admin_site/ticking.js",)

    def get_list_display(self, request: HttpRequest) -> Any:
        return ("tick", *super().get_list_display(request))  # type: ignore[misc]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """The first column that says something, not the box."""
        words = [name for name in list_display if name != "tick"]
        return super().get_list_display_links(request, words)  # type: ignore[misc]

    @display(description=_("tick"))
    def tick(self, row: Any) -> str:
        attributes = {"class": "ko-tick", "aria-label": str(row)}
        return UnfoldBooleanWidget(attributes, lambda _value: False).render(ACTION_CHECKBOX_NAME, str(row.pk))

    def told_of_ticked(self, rows: list[Any]) -> str:
        """What the dialog says of the rows beside their number, such as what they come to."""
        return ""


class ManyForm(ReasonForm):
    """Says which rows these are, then asks why."""

    form_before_template = "admin_site/many_preview.html"
    rows: list[Any] = []
    told = ""

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return {"rows": self.rows, "told": self.told}


def many_action(
    *,
    title: Any,
    question: Any,
    done: Any,
    permission: str,
    icon: str,
    variant: ActionVariant = DEFAULT,
) -> Callable[[Callable[..., Any]], Any]:
    """Make a method that runs one operation on one row into an action over the list for all that are ticked.

    ``done`` is said with the number of rows as ``{count}``; each refusal is said with its row.
    """
    dialog = {
        "title": title,
        "description": question,
        "form_class": ManyForm,
        "form_submit_text": title,
        "button": "danger" if variant == ActionVariant.DANGER else "primary",
    }

    def decorate(operate: Callable[..., Any]) -> Any:
        @wraps(operate)
        def act(page: Any, request: HttpRequest) -> HttpResponse:
            if not getattr(page, f"has_{permission}_permission")(request):
                return HttpResponse(status=403)
            rows = _ticked(page, request)
            form = ManyForm(data=request.POST or None, request=request)
            form.rows, form.told = rows, page.told_of_ticked(rows)
            if form.is_valid() and not rows:
                form.add_error("reason", _("Tick the rows first that it is about."))
            if not form.is_valid():
                context = {"dialog": dialog, "form": form, "form_submit_text": title}
                return render(request, "unfold/helpers/dialog.html", context)
            _run(page, request, operate, rows, form.cleaned_data, done)
            meta = page.model._meta
            return go(request, reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))

        made: Any = action(
            description=title,
            url_path=operate.__name__.replace("_", "-"),
            permissions=[permission],
            icon=icon,
            variant=variant,
            attrs={"hx-include": TICKED_ROWS},
        )(act)
        # The dialog is made here, since it is about rows that only the request names.
        made.dialog = dialog
        return made

    return decorate


def _run(
    page: Any,
    request: HttpRequest,
    operate: Callable[..., Any],
    rows: list[Any],
    given: dict[str, Any],
    done: Any,
) -> None:
    count = 0
    for row in rows:
        try:
            operate(page, request, row, given)
        except DomainError as error:
            messages.warning(request, f"{row}: {error.detail}")
        else:
            count += 1
    if count:
        messages.success(request, str(done).format(count=count))


def _ticked(page: Any, request: HttpRequest) -> list[Any]:
    """The rows that are ticked, of those that whoever asks may see. Raises: Http404 for what is no key."""
    keys = request.GET.getlist(ACTION_CHECKBOX_NAME)[:AT_MOST]
    try:
        found = page.get_queryset(request).in_bulk([page.model._meta.pk.to_python(key) for key in keys])
    except ValidationError:
        raise Http404 from None
    return list(found.values())
