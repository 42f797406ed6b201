"""The dialog that gives money back by hand, on the page of a payment and on that of its booking."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.actions import WARNING
from admin_site.frame.display import money
from admin_site.frame.rehearsing import RehearsedForm, Row
from backend.core.errors import Invalid, NotFound
from backend.core.money import Money, MoneyError
from backend.payments import bearing, refund_requests, refunds
from backend.payments.effects import Effect
from backend.payments.models import Folio, RefundRequest

REFUND: dict[str, Any] = {
    "title": _("Refund"),
    "question": _(
        "The guest gets it back beside what the policy says. Above the limit it waits for a second person."
    ),
    "done": _("The refund is written down: see Refunds by hand."),
    "icon": "undo",
    "variant": WARNING,
}
"""What both dialogs say."""


class RefundForm(RehearsedForm):
    """Says what there is to give back, then asks how much, who bears it and why.

    ``holders`` are the rows of the page that it stands on; each has the account of its stay as ``folio``.
    """

    holders: type[Model]
    heeds: ClassVar = ("amount", "bearer")
    form_before_template = "admin_site/refund_preview.html"
    amount = fields.number(_("Amount"))
    bearer = fields.choice(_("Borne by"), RefundRequest.Bearer.choices, initial=RefundRequest.Bearer.SHARED)
    field_order = ("amount", "bearer", "reason")

    def rehearse(self, given: dict[str, Any]) -> tuple[Effect, list[Row]]:
        holder: Any = self.holders._default_manager.select_related("folio").filter(pk=self.row_id).first()
        if holder is None:
            raise NotFound
        effect = refund_requests.rehearse(
            actor=self.request.user,
            folio=holder.folio,
            amount_minor=_minor(given["amount"], holder.folio),
            bearer=given["bearer"],
            now=timezone.now(),
        )
        return effect, []

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        rows = self.holders._default_manager.select_related("folio")
        holder: Any = rows.filter(pk=unquote(str(object_id))).first()
        if holder is None:
            return {}
        folio = holder.folio
        return {
            "folio": folio,
            "booking": getattr(folio, "booking", None),
            "refundable": money(refunds.refundable(folio), folio.currency),
            "host_part": money(bearing.host_part(folio), folio.currency),
            "disputed": money(refunds.in_dispute(folio) or None, folio.currency),
        }


def give_back(actor: Any, folio: Folio, given: dict[str, Any], expected: str = "") -> None:
    """Ask for the refund that the dialog speaks of, as ``refund_requests.ask``. Raises: what that raises."""
    refund_requests.ask(
        actor=actor,
        folio=folio,
        amount_minor=_minor(given["amount"], folio),
        bearer=given["bearer"],
        reason=given["reason"],
        now=timezone.now(),
        expected=expected,
    )


def _minor(amount: Decimal, folio: Folio) -> int:
    """An amount of the dialog in minor units. Raises: Invalid."""
    try:
        return Money.from_major(amount, folio.currency).minor
    except MoneyError:
        raise Invalid.field("amount", "invalid_amount", _("This is no amount of the currency.")) from None
