"""The service fee's terms: the platform's and single hosts' own, each from an instant on, written once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import constraint_errors, retrying
from backend.core.errors import Conflict, FieldError, Invalid
from backend.rates.models import ServiceFeeTerms

REASON_LONGEST = 500


@access.rule("platform.service_fee")
def may_set_service_fee(actor: Any, subject: object) -> bool:
    """What the platform earns is for finance and administrators."""
    return bool(actor.has_role(FINANCE, ADMIN))


class TermsExist(Conflict):
    """Other terms begin at the same instant."""

    code = "terms_exist"
    title = _("Other terms begin at the same moment.")


@retrying
def set_service_fee_terms(
    *,
    actor: Any,
    model: str,
    host_percent: Decimal,
    guest_percent: Decimal,
    effective_from: datetime,
    reason: str,
    now: datetime,
    host: User | None = None,
) -> ServiceFeeTerms:
    """Write the service fee that holds from ``effective_from`` (UTC) on: for ``host``, or for all without terms of their own.

    Quotes and bookings keep the fee that they were made with. Raises: NotAllowed, TermsExist, Invalid (a field:
    ``unknown_value``, ``too_small``, ``too_large``, ``too_precise``, ``not_for_model``, ``in_the_past``, ``required``).
    """
    access.require(actor, "platform.service_fee")
    errors = [
        *_percent_errors("host_percent", host_percent),
        *_percent_errors("guest_percent", guest_percent),
    ]
    if model not in ServiceFeeTerms.Model.values:
        errors.append(FieldError("model", "unknown_value", _("There is no such model.")))
    elif model == ServiceFeeTerms.Model.HOST_ONLY and guest_percent:
        errors.append(FieldError("guest_percent", "not_for_model", _("The host alone bears this fee.")))
    if effective_from < now:
        errors.append(FieldError("effective_from", "in_the_past", _("Terms cannot begin in the past.")))
    if not reason.strip():
        errors.append(FieldError("reason", "required", _("Say why.")))
    if errors:
        raise Invalid(errors[0].message if len(errors) == 1 else "", errors=errors)
    with transaction.atomic():
        with constraint_errors({"service_fee_terms_once": TermsExist}):
            terms = ServiceFeeTerms.objects.create(
                host=host,
                model=model,
                host_percent=host_percent,
                guest_percent=guest_percent,
                effective_from=effective_from,
                reason=reason.strip()[:REASON_LONGEST],
                created_by=actor if isinstance(actor, User) else None,
                created_at=now,
            )
        audit.record(
            actor=actor,
            action="service_fee.set",
            subject=terms,
            now=now,
            after={
                "host": host.pk if host else None,
                "model": model,
                "host_percent": str(host_percent),
                "guest_percent": str(guest_percent),
                "effective_from": effective_from.isoformat(),
            },
            reason=terms.reason,
        )
    return terms


def _percent_errors(name: str, percent: Decimal) -> list[FieldError]:
    if not percent.is_finite() or round(percent, 3) != percent:
        return [FieldError(name, "too_precise", _("At most three decimals."))]
    if not 0 <= percent <= 50:
        code = "too_small" if percent < 0 else "too_large"
        return [FieldError(name, code, _("Between %(low)s and %(high)s.") % {"low": 0, "high": 50})]
    return []
