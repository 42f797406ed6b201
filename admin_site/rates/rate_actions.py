"""Rates changed in the host's stead: each action one operation, with a reason that the audit log keeps."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.display import url_of
from admin_site.rates.rate_forms import CodeForm, DiscountForm, FeeForm, SeasonForm, TaxForm, WeekendForm
from backend.core import access
from backend.listings.models import Listing
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, RuleKind, Tax

IN_STEAD = _("You act in the host's stead. What was quoted or booked keeps its price.")


def values_of(given: dict[str, Any]) -> dict[str, Any]:
    """What a dialog says beside the reason, as the operation takes it."""
    return {name: value for name, value in given.items() if name not in ("reason", "_form_submitted")}


def _add(model: type[Any], request: HttpRequest, row: Listing, given: dict[str, Any], **fixed: Any) -> None:
    rates.add(
        model,
        actor=request.user,
        listing=row,
        values={**values_of(given), **fixed},
        reason=given["reason"],
        now=timezone.now(),
    )


class ListingRates:
    """Actions over the rows of the rates' tabs, on the page of a listing."""

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))  # type: ignore[attr-defined]
        return row is not None and access.can(request.user, "listing.correct", row)

    @dialog_action(
        title=_("Add a season"),
        question=IN_STEAD,
        done=_("The season is added."),
        permission="correct",
        icon="add",
        form_class=SeasonForm,
    )
    def add_season(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(PriceRule, request, row, given, kind=RuleKind.SEASON)

    @dialog_action(
        title=_("Set weekend prices"),
        question=IN_STEAD,
        done=_("The weekend prices are set."),
        permission="correct",
        icon="add",
        form_class=WeekendForm,
    )
    def add_weekend(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(PriceRule, request, row, given, kind=RuleKind.WEEKEND)

    @dialog_action(
        title=_("Add a discount"),
        question=IN_STEAD,
        done=_("The discount is added."),
        permission="correct",
        icon="add",
        form_class=DiscountForm,
    )
    def add_discount(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(PriceRule, request, row, given)

    @dialog_action(
        title=_("Add a fee"),
        question=IN_STEAD,
        done=_("The fee is added."),
        permission="correct",
        icon="add",
        form_class=FeeForm,
    )
    def add_fee(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(Fee, request, row, given)

    @dialog_action(
        title=_("Add a tax"),
        question=IN_STEAD,
        done=_("The tax is added."),
        permission="correct",
        icon="add",
        form_class=TaxForm,
    )
    def add_tax(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(Tax, request, row, given)

    @dialog_action(
        title=_("Add a promotion code"),
        question=IN_STEAD,
        done=_("The promotion code is added."),
        permission="correct",
        icon="add",
        form_class=CodeForm,
    )
    def add_code(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _add(PromoCode, request, row, given)


OVER = {
    PriceRule: ("add_season", "add_weekend", "add_discount"),
    Fee: ("add_fee",),
    Tax: ("add_tax",),
    PromoCode: ("add_code",),
}
"""Which of them stand over the rows of each kind."""


class RowActions:
    """Change and remove, on the page of one row and beside it in the listing's tab. ``model`` is the page's."""

    model: type[Any]
    tab = ""

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))  # type: ignore[attr-defined]
        return (
            row is not None
            and row.listing is not None
            and access.can(request.user, "listing.correct", row.listing)
        )

    def after_action(self, row: Any) -> str:
        return f"{url_of(row.listing)}#{self.tab}"


def change(page: Any, request: HttpRequest, row: Any, given: dict[str, Any]) -> None:
    """Change a row of a listing as a dialog says."""
    rates.change(
        page.model,
        actor=request.user,
        listing=row.listing,
        row_id=row.pk,
        changes=values_of(given),
        reason=given["reason"],
        now=timezone.now(),
    )


def edit_action(form_class: Any) -> Any:
    """The action that changes a row through ``form_class``."""

    def edit(self: Any, request: HttpRequest, row: Any, given: dict[str, Any]) -> None:
        change(self, request, row, given)

    return dialog_action(
        title=_("Change"),
        question=IN_STEAD,
        done=_("It is changed."),
        permission="correct",
        icon="edit",
        form_class=form_class,
    )(edit)


def remove(page: Any, request: HttpRequest, row: Any, given: dict[str, Any]) -> None:
    """Remove a row of a listing."""
    rates.remove(
        page.model,
        actor=request.user,
        listing=row.listing,
        row_id=row.pk,
        reason=given["reason"],
        now=timezone.now(),
    )


def remove_action() -> Any:
    """The action that removes a row."""

    def act(self: Any, request: HttpRequest, row: Any, given: dict[str, Any]) -> None:
        remove(self, request, row, given)

    act.__name__ = "remove"
    return dialog_action(
        title=_("Remove"),
        question=IN_STEAD,
        done=_("It is removed."),
        permission="correct",
        icon="delete",
        variant=DANGER,
    )(act)
