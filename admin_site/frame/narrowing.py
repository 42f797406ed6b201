"""Filters that several lists have: by amount, by day, by currency, by provider, by host.

Amounts are typed in major units, days are whole days in UTC, texts are matched whole, so that an index answers.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, RangeNumericFilter, TextFilter

from admin_site.frame import finding
from backend.core.money import EXPONENTS, MAX_MINOR
from backend.payments.providers import registry

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)


class Days(RangeDateFilter):
    """From the first instant of one day until the last of another (UTC); what is no day is left aside."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self._day(f"{self.parameter_name}_{end}") for end in ("from", "to"))
        if first is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": first})
        if last is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": last + timedelta(days=1)})
        return queryset

    def _day(self, name: str) -> datetime | None:
        try:
            day = date.fromisoformat(str(self.used_parameters.get(name) or ""))
        except ValueError:
            return None
        return datetime.combine(day, time(), UTC) if FIRST_DAY <= day <= LAST_DAY else None


class Amounts(RangeNumericFilter):
    """An amount in minor units that lies between two in major ones, each row's as its currency counts."""

    currency = "currency"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        least, most = (self._major(f"{self.parameter_name}_{end}") for end in ("from", "to"))
        if least is None and most is None:
            return queryset
        found = Q()
        for decimals in sorted({2, *EXPONENTS.values()}):
            of_these = self._counted_in(decimals)
            if least is not None:
                of_these &= Q(**{f"{self.parameter_name}__gte": _minor(least, decimals)})
            if most is not None:
                of_these &= Q(**{f"{self.parameter_name}__lte": _minor(most, decimals)})
            found |= of_these
        return queryset.filter(found)

    def _counted_in(self, decimals: int) -> Q:
        """Rows whose currency has so many decimals."""
        codes = [code for code, digits in EXPONENTS.items() if digits == decimals]
        if decimals == 2:
            return ~Q(**{f"{self.currency}__in": list(EXPONENTS)})
        return Q(**{f"{self.currency}__in": codes})

    def _major(self, name: str) -> Decimal | None:
        try:
            value = Decimal(str(self.used_parameters.get(name) or "").strip())
        except InvalidOperation:
            return None
        return value if value.is_finite() else None


def _minor(major: Decimal, decimals: int) -> int:
    bound = Decimal(MAX_MINOR)
    return int(max(-bound, min(bound, major.scaleb(decimals))))


class ByCurrency(TextFilter):
    """``EUR``"""

    title = _("currency")
    parameter_name = "currency"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        code = (self.value() or "").strip().upper()
        return queryset.filter(currency=code) if code else queryset


class ByProvider(DropdownFilter):
    """One of the providers that money may go through here, or went through once."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = {*(adapter.name for adapter in registry.ADAPTERS), *registry.configured()}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


class ByHost(TextFilter):
    """The beginning of a host's name, or their email address."""

    title = _("host")
    parameter_name = "host"
    field = "folio__host"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        term = (self.value() or "").strip()
        return queryset.filter(**{f"{self.field}__in": finding.people_ids(term)}) if term else queryset
