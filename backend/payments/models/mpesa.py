"""What M-Pesa was asked."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField


class MpesaRequest(models.Model):
    """One order to M-Pesa, written down before it is asked: M-Pesa knows no keys of ours and remembers nothing for us.

    ``account_reference`` is a short form of the key that stands on the guest's statement and on M-Pesa's; ``reference``
    what M-Pesa called the request, ``receipt`` the movement of money. ``originator`` is the id by which the request's
    state can be asked for.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("asked, no answer")
        UNSENT = "unsent", _("never reached M-Pesa")
        TAKEN = "taken", _("taken on")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")

    class Way(models.TextChoices):
        PUSH = "push", _("prompt on the phone")
        B2C = "b2c", _("payment to a phone")
        REVERSAL = "reversal", _("reversal")

    key = models.CharField(_("idempotency key"), max_length=80, primary_key=True)
    kind = models.CharField(_("kind"), max_length=9)
    way = models.CharField(_("way"), max_length=8, choices=Way.choices)
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("refund of"),
    )
    account_reference = models.CharField(_("account reference"), max_length=12, unique=True)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    phone = SealedTextField(_("phone"), blank=True)
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.ASKED)
    reference = models.CharField(_("reference"), max_length=120, blank=True, db_index=True)
    originator = models.CharField(_("originator's id"), max_length=120, blank=True)
    receipt = models.CharField(_("receipt"), max_length=40, blank=True, db_index=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    asked_at = models.DateTimeField(_("asked at"))
    queried_at = models.DateTimeField(_("state asked for at"), null=True, blank=True)

    class Meta:
        db_table = "mpesa_requests"
        ordering = ["-asked_at"]
        verbose_name = _("M-Pesa request")
        verbose_name_plural = _("M-Pesa requests")

    def __str__(self) -> str:
        return self.account_reference
