"""Actions: a dialog that asks for a reason, one operation, and its error in the dialog when it refuses.

An action is a method that says which operation to call::

    @dialog_action(title=_("Reject"), question=_("…"), done=_("…"), permission="judge", variant=DANGER)
    def reject(self, request, row, given):
        listings.reject(actor=request.user, listing=row, now=timezone.now(), reason=given["reason"])

GET shows the dialog, POST runs it. The operation writes the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from admin_site.frame.display import url_of
from backend.core.errors import DomainError

DANGER, SUCCESS, WARNING, DEFAULT = (
    ActionVariant.DANGER,
    ActionVariant.SUCCESS,
    ActionVariant.WARNING,
    ActionVariant.DEFAULT,
)

Operate = Callable[[Any, HttpRequest, Any, dict[str, Any]], Any]


class ReasonForm(BaseDialogForm):
    """What every act asks: why. It goes to the audit log, and where the act has a recipient, to them."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "maxlength": 500}),
    )


def dialog_action(
    *,
    title: Any,
    question: Any,
    done: Any,
    permission: str,
    icon: str,
    variant: ActionVariant = DEFAULT,
    form_class: type[BaseDialogForm] = ReasonForm,
    on_list: bool = False,
) -> Callable[[Operate], Any]:
    """Make a method that runs one operation into an action with a dialog.

    It stands on the page of a row, or with ``on_list`` over the list; then the method's row is None.

    ``permission`` names the page's ``has_<permission>_permission``; without it the action is neither shown nor run
    (403). ``done`` is said on the page after it; a refusal is said in the dialog, and nothing has changed then.
    """
    dialog = {
        "title": title,
        "description": question,
        "form_class": form_class,
        "form_submit_text": title,
        "button": "danger" if variant == DANGER else "primary",
    }

    def decorate(operate: Operate) -> Any:
        @wraps(operate)
        def act(page: Any, request: HttpRequest, form: Any, object_id: str = "") -> HttpResponse:
            row = None if on_list else page.get_object(request, unquote(object_id))
            if row is None and not on_list:
                raise Http404
            try:
                operate(page, request, row, form.cleaned_data)
            except DomainError as error:
                return refuse(request, dialog, form, error)
            messages.success(request, done)
            if row is None:
                meta = page.model._meta
                return go(request, reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))
            return go(request, page.after_action(row) if hasattr(page, "after_action") else url_of(row))

        return action(
            description=title,
            url_path=operate.__name__.replace("_", "-"),
            permissions=[permission],
            icon=icon,
            variant=variant,
            dialog=dialog,
        )(act)

    return decorate


def refuse(request: HttpRequest, dialog: dict[str, Any], form: Any, error: DomainError) -> HttpResponse:
    """The dialog again with the operation's own sentence beside the field that it is about."""
    visible = [field.name for field in form.visible_fields()]
    fields = [(each.field.split(".")[0], each.message) for each in error.errors]
    named = {field: message for field, message in fields if field in visible}
    for field, message in (named or {visible[-1]: error.detail}).items():
        form.add_error(field, str(message))
    return render(
        request,
        "unfold/helpers/dialog.html",
        {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]},
    )


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Load ``url`` in the whole window, out of a dialog or not.

    A dialog that was opened on the very page lets it load again, which keeps the tab that one was in.
    """
    if request.headers.get("HX-Request"):
        here = urlsplit(request.headers.get("HX-Current-URL", "")).path
        if here == urlsplit(url).path:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
