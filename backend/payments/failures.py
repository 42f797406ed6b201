"""Why a payment or refund failed, in words. The codes are those that adapters give; providers' own are translated there."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REASONS: dict[str, str | Promise] = {
    "abandoned": _("The booking ended before the payment was made."),
    "account_closed": _("The account or card does not exist any more."),
    "amount_not_possible": _("This amount cannot be paid in this way."),
    "amount_too_large": _("The amount is larger than what can be moved."),
    "approval_expired": _("The payment was not approved in time."),
    "authentication_required": _(
        "The bank wants to be sure that it is you. Try again and confirm the payment."
    ),
    "authorization_expired": _("The amount was set aside for too long and has been let go."),
    "canceled": _("The payment was canceled."),
    "cannot_be_reversed": _("What was paid out cannot be taken back in this way."),
    "card_declined": _("The card was declined."),
    "currency_mismatch": _("The currency is another one than that of the payment."),
    "expired_card": _("The card has expired."),
    "instrument_declined": _("PayPal could not take the money in the way that was chosen. Try another one."),
    "insufficient_funds": _("There is not enough money in the account."),
    "never_arrived": _("The payment never reached the provider."),
    "no_answer": _("The request on the phone was not answered in time."),
    "processing_error": _("The provider could not process the payment. Try again."),
    "returned": _("The bank sent the money back."),
    "subscriber_busy": _("The phone is busy with another request. Try again in a minute."),
    "wrong_pin": _("The PIN was wrong."),
}
"""Code → sentence. A code that is not here is said in general words."""

OTHERWISE = _("The provider refused.")


def words(code: str) -> str:
    """The sentence about the error ``code`` in the active language."""
    return str(REASONS.get(code, OTHERWISE))
