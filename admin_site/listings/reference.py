"""The reference lists that everything stands on: currencies, what places may have, cities."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from admin_site.frame.base import Page, has_role
from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.core.models import Currency
from backend.listings.models import Amenity, Location

LANGUAGES = [(code, name) for code, name in settings.LANGUAGES if code != "en"]


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
