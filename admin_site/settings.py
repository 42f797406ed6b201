"""The platform's settings, and the reference lists that everything stands on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from admin_site.actions import ReasonForm, dialog_action
from admin_site.base import Page, has_role
from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import Currency, PlatformSetting
from backend.listings.models import Amenity, Location

ONE_LINE = 120
"""Texts that may be longer than this are written in lines."""

LANGUAGES = [(code, name) for code, name in settings.LANGUAGES if code != "en"]


def change_setting(*, actor: Any, key: str, value: Any, reason: str, now: Any) -> None:
    """Change a platform setting and note it. Raises: Invalid (the value does not fit), on ``value``."""
    with transaction.atomic():
        row, _made = PlatformSetting.objects.select_for_update().get_or_create(
            key=key, defaults={"value": _stored(platform.DECLARED[key].default)}
        )
        before = row.value
        try:
            after = platform.put(key, value)
        except Invalid as refused:
            raise Invalid.field("value", refused.code, refused.detail) from None
        audit.record(
            actor=actor,
            action="setting.changed",
            subject=row,
            now=now,
            before={"value": before},
            after={"value": _stored(after)},
            reason=reason,
        )


def _stored(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


class SettingForm(ReasonForm):
    """One value in the form that its kind has, and why it changes."""

    value = forms.CharField(label=_("Value"), widget=UnfoldAdminTextInputWidget)
    field_order = ("value", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        declared = platform.DECLARED.get(unquote(str(self.object_id)))
        if declared is None:
            raise Http404
        choices = {"bool": [("true", _("yes")), ("false", _("no"))]}.get(
            declared.kind, [(choice, choice or _("none")) for choice in declared.choices]
        )
        self.kind = declared.kind
        if choices:
            self.fields["value"] = forms.ChoiceField(
                label=_("Value"),
                choices=choices,
                required="" not in declared.choices,
                widget=UnfoldAdminSelectWidget,
            )
            self.order_fields(self.field_order)
        elif declared.kind == "text":
            self._take_text(declared)
        elif declared.low is not None or declared.high is not None:
            self.fields["value"].help_text = _("From %(low)s to %(high)s.") % {
                "low": declared.low,
                "high": declared.high,
            }
        current = platform.get(declared.key)
        self.fields["value"].initial = str(current).lower() if declared.kind == "bool" else current

    def _take_text(self, declared: platform.Setting) -> None:
        field = self.fields["value"]
        field.required = bool(declared.low)
        field.help_text = _("At most %(high)s characters.") % {"high": declared.high}
        if (declared.high or 0) > ONE_LINE:
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 4, "maxlength": declared.high})

    def clean_value(self) -> Any:
        given = self.cleaned_data["value"]
        if self.kind == "bool":
            return {"true": True, "false": False}.get(given, given)
        # Browsers end the lines of a text with two characters.
        return given.replace("\r\n", "\n") if self.kind == "text" else given


@admin.register(PlatformSetting)
class SettingsPage(Page):
    """Every declared setting, whether it has a row or not. Administrators only."""

    icon = "tune"
    actions_detail = ("set_value",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, ADMIN)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_administer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        declared = platform.DECLARED.get(object_id)
        return (
            None if declared is None else PlatformSetting(key=declared.key, value=platform.get(declared.key))
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A setting has no page of its own: it is changed where all of them stand."""
        return self.changelist_view(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        changed = set(PlatformSetting.objects.values_list("key", flat=True))
        rows = [
            {
                "key": key,
                "description": declared.description,
                "value": platform.get(key),
                "default": declared.default,
                "is_changed": key in changed and platform.get(key) != declared.default,
                "url": reverse("admin:core_platformsetting_change", args=(key,)),
                "dialog": f"{reverse('admin:core_platformsetting_changelist')}{key}/set-value/",
            }
            for key, declared in platform.DECLARED.items()
        ]
        history = reverse("admin:audit_auditentry_changelist") + "?object_type__exact=platformsetting"
        context = {
            **self.admin_site.each_context(request),
            "title": _("Platform settings"),
            "rows": rows,
            "history_url": history,
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin_site/settings.html", context)

    def after_action(self, row: PlatformSetting) -> str:
        return reverse("admin:core_platformsetting_changelist")

    @dialog_action(
        title=_("Change"),
        question=_("It counts within a second, on every machine."),
        done=_("The setting is changed."),
        permission="administer",
        icon="tune",
        form_class=SettingForm,
    )
    def set_value(self, request: HttpRequest, row: PlatformSetting, given: dict[str, Any]) -> None:
        change_setting(
            actor=request.user,
            key=row.key,
            value=given["value"],
            reason=given["reason"],
            now=timezone.now(),
        )


@admin.register(Currency)
class CurrencyPage(Page):
    icon = "paid"
    list_display = ("code", "name", "minor_units")
    search_fields = ("code__istartswith", "name__istartswith")
    ordering = ("code",)


class AmenityForm(forms.ModelForm):
    """The name in each language that we speak; slug and bit are what the data rests on and stay."""

    class Meta:
        model = Amenity
        fields = ("name",)
        widgets = {"name": UnfoldAdminTextInputWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for code, language in LANGUAGES:
            self.fields[f"name_{code}"] = forms.CharField(
                label=language,
                max_length=80,
                required=False,
                initial=self.instance.names.get(code, ""),
                widget=UnfoldAdminTextInputWidget,
            )

    def save(self, commit: bool = True) -> Amenity:
        given = {code: self.cleaned_data[f"name_{code}"].strip() for code, _language in LANGUAGES}
        self.instance.names = {**self.instance.names, **given}
        self.instance.names = {code: name for code, name in self.instance.names.items() if name}
        return super().save(commit)


@admin.register(Amenity)
class AmenityPage(Page):
    """What a place may have. Its names may be bettered by administrators."""

    icon = "pool"
    form = AmenityForm
    list_display = ("name", "slug", "category", "translated")
    search_fields = ("name__istartswith", "slug__istartswith")
    ordering = ("bit",)
    readonly_fields = ("slug", "category")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, ADMIN)

    def get_fieldsets(self, request: HttpRequest, obj: Amenity | None = None) -> Any:
        names = (
            [f"name_{code}" for code, _language in LANGUAGES] if self.has_change_permission(request) else []
        )
        shown = names or ["translated"]
        return [(None, {"fields": [("slug", "category"), "name", *shown]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Amenity | None = None) -> tuple[str, ...]:
        return ("slug", "category", "translated")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # The languages' fields are made by the form itself; the factory would look for columns of their names.
        kwargs["fields"] = ("name",) if self.has_change_permission(request) else ()
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Amenity, form: Any, change: bool) -> None:
        before = Amenity.objects.values("name", "names").get(pk=obj.pk)
        super().save_model(request, obj, form, change)
        audit.record(
            actor=request.user,
            action="amenity.renamed",
            subject=obj,
            now=timezone.now(),
            before=dict(before),
            after={"name": obj.name, "names": obj.names},
        )

    @display(description=_("translations"))
    def translated(self, amenity: Amenity) -> str:
        return ", ".join(f"{code}: {name}" for code, name in sorted(amenity.names.items())) or "–"


@admin.register(Location)
class LocationPage(Page):
    icon = "location_city"
    list_display = ("name", "region", "country_name", "timezone", "population")
    search_fields = ("search_name",)
    search_help_text = _("The beginning of a city's name")
    ordering = ("-population",)
    fields = (
        ("name", "region", "country_name"),
        ("latitude", "longitude"),
        ("timezone", "population"),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Location], search_term: str
    ) -> tuple[QuerySet[Location], bool]:
        term = search_term.strip().lower()
        return (queryset.filter(search_name__startswith=term) if term else queryset), False
