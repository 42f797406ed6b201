"""Dialogs that tell what an act does to the money before the click.

The effect is asked of the domain, which rehearses the act; it is made anew by GET whenever a field that matters changes.
What was shown goes with the POST, and the operation refuses when it would do something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.utils import unquote
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from admin_site.frame.actions import ReasonForm
from admin_site.frame.display import money, signed
from backend.core.errors import DomainError
from backend.payments.effects import Effect

EFFECT = "effect"
"""The field in which the digest of what was shown comes back."""

Row = tuple[Any, str, str]
"""Words, an amount, and a word for its colour."""


def lines_of(effect: Effect) -> list[Row]:
    """What an effect says to people: only what moves."""
    change, currency = effect.changes, effect.currency
    found: list[Row] = []
    if effect.more:
        found.append((_("Guest pays more"), money(effect.more, currency), "up"))
    if change.back:
        found.append((_("Goes back to the guest"), money(change.back, currency), "bad"))
    if change.waiting:
        found.append((_("Waits for a second person"), money(change.waiting, currency), "warn"))
    if change.released:
        found.append((_("Set aside at the guest's bank, let go"), money(change.released, currency), ""))
    for name, words in (
        ("host", _("Host's part")),
        ("platform", _("Platform's part")),
        ("taxes", _("Taxes")),
    ):
        moved = getattr(change, name)
        if moved:
            after = money(getattr(effect.after, name), currency)
            found.append((words, f"{signed(moved, currency)} → {after}", "up" if moved > 0 else "bad"))
    if change.penalty:
        words = _("Host's penalty") if change.penalty > 0 else _("Host's penalty, no longer owed")
        found.append((words, money(abs(change.penalty), currency), "bad" if change.penalty > 0 else "up"))
    return found


class RehearsedForm(ReasonForm):
    """A dialog that shows its effect. ``heeds`` names the fields that change it.

    A subclass says in ``rehearse`` what the act would do with their values, and may add lines of its own.
    """

    form_after_template = "admin_site/effect.html"
    heeds: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.heeds:
            self.fields[name].widget.attrs |= {
                "hx-get": self.request.path,
                "hx-trigger": "change, keyup changed delay:400ms",
                "hx-include": "[data-heeded]",
                "hx-target": "#ko-effect",
                "hx-select": "#ko-effect",
                "hx-swap": "outerHTML",
                "data-heeded": "1",
            }

    def rehearse(self, given: dict[str, Any]) -> tuple[Effect, list[Row]]:
        """The effect of acting with ``given``, and more lines to show. Raises: DomainError."""
        raise NotImplementedError

    @property
    def row_id(self) -> int:
        key = unquote(str(self.object_id))
        return int(key) if key.isdigit() else 0

    def get_after_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        given, wrong = self._heeded(request)
        if wrong:
            return {"refusal": wrong}
        try:
            effect, more = self.rehearse(given)
        except DomainError as error:
            return {"refusal": next((str(each.message) for each in error.errors), str(error.detail))}
        lines = lines_of(effect)
        return {"lines": [*lines, *more], "moves": bool(lines), "digest": effect.digest}

    def _heeded(self, request: HttpRequest) -> tuple[dict[str, Any], str]:
        """The values of the fields that matter, of the form or of the address; and what is wrong with one."""
        source = request.POST if request.method == "POST" else request.GET
        asked = any(name in source for name in self.heeds)
        given: dict[str, Any] = {}
        for name in self.heeds:
            field = self.fields[name]
            raw = (
                field.widget.value_from_datadict(source, {}, name)
                if asked
                else self.get_initial_for_field(field, name)
            )
            try:
                given[name] = field.clean(raw)
            except forms.ValidationError as error:
                return {}, " ".join(error.messages)
        return given, ""


def told(request: HttpRequest) -> str:
    """The digest of the effect that whoever acts was shown."""
    return request.POST.get(EFFECT, "")
