"""The dialogs of settings: one value in the form that its kind has, from when on, and why."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm
from admin_site.frame.display import number
from admin_site.system import setting_rows
from backend.administration import services as administration
from backend.core import platform
from backend.core.models import SettingVersion

ONE_LINE = 120
"""Texts that may be longer than this are written in lines."""


class _AboutOne(ReasonForm):
    """What all dialogs about one setting know: which one, and its last change when the dialog was opened."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        declared = platform.find(unquote(str(self.object_id)))
        if declared is None:
            raise Http404
        self.declared = declared
        self.fields["seen"].initial = administration.number_of(declared.key)


class DefaultForm(_AboutOne):
    """Says what the default is, and asks why."""

    form_before_template = "admin_site/setting_default.html"

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        declared = self.declared
        return {
            "now": setting_rows.said(declared, platform.get(declared.key)),
            "default": setting_rows.said(declared, declared.default),
        }


class SettingForm(_AboutOne):
    """The new value, from when on, and why it changes. Below the value stands what it would change."""

    form_before_template = "admin_site/setting_before.html"
    value = forms.CharField(label=_("Value"), widget=UnfoldAdminTextInputWidget)
    effective_from = fields.moment(_("In force from (UTC)"), required=False, help_text=_("Empty: at once."))
    field_order = ("value", "effective_from", "reason", "seen")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        declared = self.declared
        make = {"bool": self._switch, "choice": self._choice, "text": self._text, "codes": self._codes}
        field = make.get(declared.kind, self._number)(declared)
        field.label = declared.title  # type: ignore[assignment]
        current = platform.get(declared.key)
        field.initial = ", ".join(current) if declared.kind == "codes" else current
        self.fields["value"] = field
        self.order_fields(self.field_order)

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        declared = self.declared
        return {
            **setting_rows.told(declared),
            "now": setting_rows.said(declared, platform.get(declared.key)),
            "effect_url": reverse("admin:core_platformsetting_effect", args=(declared.key,)),
            "plans": setting_rows.plans(declared, now=timezone.now()),
        }

    def clean_value(self) -> Any:
        given = self.cleaned_data["value"]
        # Browsers end the lines of a text with two characters.
        return given.replace("\r\n", "\n") if self.declared.kind == "text" else given

    def _switch(self, declared: platform.Setting) -> forms.Field:
        return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget())

    def _choice(self, declared: platform.Setting) -> forms.Field:
        return forms.ChoiceField(
            choices=[(choice, declared.said(choice)) for choice in declared.offered],
            required="" not in declared.choices,
            widget=UnfoldAdminSelectWidget(),
        )

    def _number(self, declared: platform.Setting) -> forms.Field:
        bounds = {"low": number(declared.low or 0), "high": number(declared.high or 0)}
        mode = "numeric" if declared.kind == "int" else "decimal"
        return forms.CharField(
            widget=UnfoldAdminTextInputWidget(attrs={"inputmode": mode}),
            help_text=" ".join(
                filter(None, [_("From %(low)s to %(high)s.") % bounds, setting_rows.unit(declared)])
            ),
        )

    def _text(self, declared: platform.Setting) -> forms.Field:
        lines = (declared.high or 0) > ONE_LINE
        attrs = {"maxlength": declared.high}
        return forms.CharField(
            required=bool(declared.low),
            help_text=_("At most %(high)s characters.") % {"high": declared.high},
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, **attrs})
            if lines
            else UnfoldAdminTextInputWidget(attrs=attrs),
        )

    def _codes(self, declared: platform.Setting) -> forms.Field:
        return forms.CharField(
            required=False,
            help_text=_("Letters of ISO 4217 with commas between them, such as EUR, KES, USD."),
            widget=UnfoldAdminTextInputWidget(),
        )


class WithdrawForm(_AboutOne):
    """Which plan, and why it is withdrawn."""

    version = forms.ChoiceField(label=_("Planned change"), widget=UnfoldAdminSelectWidget)
    field_order = ("version", "reason", "seen")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions: Any = self.fields["version"]
        versions.choices = [
            (each["id"], f"{each['value']} – {each['from']}")
            for each in setting_rows.plans(self.declared, now=timezone.now())
        ]
        asked = self.request.GET.get("version", "")
        if asked.isdigit() and SettingVersion.objects.filter(pk=asked).exists():
            versions.initial = int(asked)
