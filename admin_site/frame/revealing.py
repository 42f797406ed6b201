"""Showing what is masked: for a reason, once, to whoever may ask; the audit log keeps who saw what and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.utils import unquote
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from admin_site.frame.actions import ReasonForm, refuse
from backend.core.errors import DomainError

Shown = list[tuple[Any, str]]
Reveal = Callable[[Any, HttpRequest, Any, str], Shown]


def reveal_action(*, question: Any) -> Callable[[Reveal], Any]:
    """Make a method that runs one operation and answers (words, value) into an action with a dialog that shows them.

    The page's ``has_reveal_permission`` says to whom it is offered. The values stand in the answer to the POST and
    nowhere else: in no address, no message and no cookie.
    """
    title = _("Reveal")
    dialog = {
        "title": title,
        "description": question,
        "form_class": ReasonForm,
        "form_submit_text": title,
        "button": "primary",
    }

    def decorate(operate: Reveal) -> Any:
        @wraps(operate)
        def act(page: Any, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
            row = page.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            try:
                shown = operate(page, request, row, form.cleaned_data["reason"])
            except DomainError as error:
                return refuse(request, dialog, form, error)
            return render(request, "admin_site/revealed.html", {"title": title, "shown": shown})

        return action(
            description=title,
            url_path=operate.__name__.replace("_", "-"),
            permissions=["reveal"],
            icon="visibility",
            dialog=dialog,
        )(act)

    return decorate
