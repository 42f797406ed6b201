"""What narrows the list of people down. Each by an index, or over tables that stay small."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RadioFilter, RangeDateFilter
from unfold.utils import parse_date_str

from backend.accounts.models import User
from backend.core.formats import locale
from backend.listings.models import Listing
from backend.moderation.models import Report, Strike
from backend.payments.models import Dispute


class DaysFilter(RangeDateFilter):
    """Days, first and last of them included, over an instant: read on the clock of whoever asks."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self._day(f"{self.parameter_name}_{end}") for end in ("from", "to"))
        bounds = {}
        if first is not None:
            bounds[f"{self.parameter_name}__gte"] = _midnight(first)
        if last is not None:
            bounds[f"{self.parameter_name}__lt"] = _midnight(last + timedelta(days=1))
        return queryset.filter(**bounds)

    def _day(self, name: str) -> date | None:
        """What was asked for, where it is a day of the calendar that can be counted on from."""
        given = parse_date_str(str(self.used_parameters.get(name) or ""))
        return given if given is not None and date(1900, 1, 1) <= given < date(9000, 1, 1) else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


class StandingFilter(RadioFilter):
    """Suspended, closed, or neither."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("active", _("active")), ("suspended", _("suspended")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() == "active":
            return queryset.filter(is_active=True, suspended_at=None)
        if self.value() == "suspended":
            return queryset.filter(suspended_at__isnull=False)
        return queryset.filter(is_active=False) if self.value() == "closed" else queryset


class VerifiedFilter(RadioFilter):
    """What is proven of them."""

    title = _("verified")
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("email", _("email confirmed")),
            ("phone", _("phone verified")),
            ("identity", _("identity verified")),
            ("nothing", _("nothing is verified")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        email = Exists(EmailAddress.objects.filter(user=OuterRef("pk"), verified=True))
        found = {
            "email": Q(email),
            "phone": Q(profile__phone_verified_at__isnull=False),
            "identity": Q(profile__identity_verified_at__isnull=False),
            "nothing": Q(profile__phone_verified_at=None, profile__identity_verified_at=None) & ~Q(email),
        }
        return queryset.filter(found[str(self.value())]) if self.value() in found else queryset


class CountryFilter(DropdownFilter):
    """Where the places of hosts lie; people have no country of their own."""

    title = _("country of their places")
    parameter_name = "country"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = locale(get_language() or "").territories.items()
        countries = [(code, name) for code, name in names if len(code) == 2 and code.isalpha()]
        return sorted(countries, key=lambda country: country[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if not self.value():
            return queryset
        hosts = Listing.objects.filter(country=self.value()).values("host")
        return queryset.filter(pk__in=hosts)


class RiskFilter(RadioFilter):
    """What stands against them. Only what the reader may look at is offered."""

    title = _("risk facts")
    parameter_name = "risk"
    NEEDS = {
        "dispute": ("payments.view_dispute", _("has disputed a payment")),
        "report": ("moderation.view_report", _("an open report is about them")),
        "strike": ("moderation.view_report", _("has strikes")),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        reader: Any = request.user
        return [(key, words) for key, (needs, words) in self.NEEDS.items() if reader.has_perm(needs)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        reader: Any = request.user
        value = str(self.value())
        if value not in self.NEEDS or not reader.has_perm(self.NEEDS[value][0]):
            return queryset
        opened = Report.objects.filter(status=Report.Status.OPEN)
        people: dict[str, Q] = {
            "dispute": Q(pk__in=Dispute.objects.values("payment__folio__guest")),
            # A union has the few people found first; two conditions would be tried on everybody.
            "report": Q(
                pk__in=opened.exclude(user=None)
                .values("user")
                .union(opened.exclude(listing=None).values("listing__host"))
            ),
            "strike": Q(
                pk__in=Strike.objects.filter(removed_at=None, expires_at__gt=timezone.now()).values("person")
            ),
        }
        return queryset.filter(people[value])
