"""Money that moves: what a guest sees of it, and what a provider is asked."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import hosted_by
from backend.payments.models.folio import Folio
from backend.payments.states import OPEN_OPS, OpState, PaymentStatus


def _taken_for(actor: Any) -> Q:
    """Payments of stays at places of ``actor``, or whose money they may see; the booking is only named here."""
    return hosted_by(actor, "payouts", host="folio__host_id", listing="folio__booking__listing_id")


class PaymentQuerySet(models.QuerySet["Payment"]):
    def as_guest(self, actor: Any) -> PaymentQuerySet:
        return self.filter(folio__guest_id=actor.pk)

    def as_host(self, actor: Any) -> PaymentQuerySet:
        """Those of one's places, and of those whose money one may see for somebody else."""
        return self.filter(_taken_for(actor))

    def visible_to(self, actor: Any) -> PaymentQuerySet:
        """Those of one's own stays and of one's own listings; staff who deal with money see all."""
        if actor.has_role("support", "finance", "admin", "system"):
            return self
        return self.filter(Q(folio__guest_id=actor.pk) | _taken_for(actor))

    def needing_attention(self) -> PaymentQuerySet:
        """Refunds that failed or came back, and that nobody has made again."""
        return self.filter(kind=Payment.Kind.REFUND, status=PaymentStatus.FAILED, retry=None)


class Payment(models.Model):
    """What a guest sees of a movement: a payment, or a refund of one (``parent``).

    ``amount_minor`` is in the folio's currency; ``charged_minor`` is the same in the currency that the provider moves.
    A refund that failed is made again by another one, whose ``retry_of`` it is. ``card_brand`` and ``card_last4`` are what
    the provider tells of the card, by which its holder finds the payment again.
    """

    class Kind(models.TextChoices):
        PAYMENT = "payment", _("payment")
        REFUND = "refund", _("refund")

    Status = PaymentStatus

    reference = models.CharField(_("reference"), max_length=16, unique=True)
    folio = models.ForeignKey(
        Folio, on_delete=models.PROTECT, related_name="payments", verbose_name=_("folio")
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("refund of"),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    provider = models.CharField(_("provider"), max_length=12)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    charged_minor = models.BigIntegerField(_("charged"))
    charged_currency = models.CharField(_("charged in"), max_length=3)
    card_brand = models.CharField(_("card"), max_length=20, blank=True, db_default="", default="")
    card_last4 = models.CharField(
        _("card's last four digits"), max_length=4, blank=True, db_default="", default=""
    )
    refund_request = models.ForeignKey(
        "payments.RefundRequest",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("asked for by"),
    )
    retry_of = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="retry",
        verbose_name=_("made again for"),
    )
    status = models.CharField(
        _("status"), max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.PENDING
    )
    refunded_minor = models.BigIntegerField(_("refunded"), default=0)
    created_at = models.DateTimeField(_("created at"))
    authorized_at = models.DateTimeField(_("authorized at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        db_table = "payments"
        ordering = ["-id"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            models.Index(fields=["status", "-id"], name="payments_status"),
            models.Index(fields=["created_at"], name="payments_created"),
            models.Index(fields=["card_last4", "-id"], condition=~Q(card_last4=""), name="payments_card"),
            models.Index(fields=["currency", "amount_minor"], name="payments_amount"),
            models.Index(
                fields=["id"], condition=Q(kind="refund", status="failed"), name="payments_refunds_failed"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_amount_positive"),
            models.CheckConstraint(condition=Q(charged_minor__gt=0), name="payments_charged_positive"),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("amount_minor")),
                name="payments_refunded_within",
            ),
            models.CheckConstraint(
                condition=Q(kind="refund", parent__isnull=False) | Q(kind="payment", parent=None),
                name="payments_refund_has_parent",
            ),
            models.UniqueConstraint(
                fields=["folio"],
                condition=Q(kind="payment", status="pending"),
                name="payments_one_pending",
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class MoneyOp(models.Model):
    """One movement asked of a provider, written down before it is tried. Its id is the provider's idempotency key.

    It is about a payment (or refund), or about a payout; amount and currency are what the provider is asked to move.
    ``fee_minor`` is what the provider kept of it, in the same currency.
    """

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", _("authorize")
        CHARGE = "charge", _("authorize and capture")
        CAPTURE = "capture", _("capture")
        VOID = "void", _("void")
        REFUND = "refund", _("refund")
        PAYOUT = "payout", _("payout")
        REVERSE = "reverse", _("take back a payout")

    State = OpState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(
        Payment,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="ops",
        verbose_name=_("payment"),
    )
    payout = models.ForeignKey(
        "payments.Payout",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="ops",
        verbose_name=_("payout"),
    )
    kind = models.CharField(_("kind"), max_length=9, choices=Kind.choices)
    provider = models.CharField(_("provider"), max_length=12)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    fee_minor = models.BigIntegerField(_("provider's fee"), default=0)
    options = models.JSONField(_("options"), default=dict)
    state = models.CharField(_("state"), max_length=9, choices=OpState.choices, default=OpState.CREATED)
    provider_ref = models.CharField(_("provider's reference"), max_length=120, blank=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "money_ops"
        ordering = ["-created_at"]
        verbose_name = _("money operation")
        verbose_name_plural = _("money operations")
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=OPEN_OPS),
                name="money_ops_open",
            ),
            models.Index(fields=["provider", "provider_ref"], name="money_ops_ref"),
            models.Index(fields=["-created_at"], name="money_ops_newest"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="money_ops_amount_positive"),
            models.CheckConstraint(
                condition=Q(payment=None, payout__isnull=False, kind__in=["payout", "reverse"])
                | Q(payment__isnull=False, payout=None) & ~Q(kind__in=["payout", "reverse"]),
                name="money_ops_about_one_thing",
            ),
            models.UniqueConstraint(
                fields=["payment"], condition=Q(state__in=OPEN_OPS), name="money_ops_one_open"
            ),
            models.UniqueConstraint(
                fields=["payout"], condition=Q(state__in=OPEN_OPS), name="money_ops_one_open_payout"
            ),
            models.UniqueConstraint(
                fields=["payout"],
                condition=Q(kind="payout", state="succeeded"),
                name="money_ops_paid_out_once",
            ),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(kind__in=["charge", "capture"], state="succeeded"),
                name="money_ops_taken_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def of_payment(self) -> Payment:
        """The payment or refund that an operation on the guest's side is about."""
        if self.payment is None:
            raise TypeError(f"{self} is about a payout")
        return self.payment
