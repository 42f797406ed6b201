"""Money: the account of a stay, the movements asked of providers, the books, and what providers told us.

Amounts are minor units of the ``currency`` beside them.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.payments.states import OPEN_OPS, OpState, PaymentStatus


class Folio(models.Model):
    """The account of one stay: priced lines that sum to what the guest owes (the hotel trade's word)."""

    guest = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("guest")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("host")
    )
    currency = models.CharField(_("currency"), max_length=3)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "folios"
        verbose_name = _("folio")
        verbose_name_plural = _("folios")

    def __str__(self) -> str:
        return f"F{self.pk}"


class FolioLine(models.Model):
    """One signed line. Lines on the guest's side sum to the total; host lines (the platform's fee) are kept apart."""

    GUEST, HOST = "guest", "host"

    folio = models.ForeignKey(Folio, on_delete=models.PROTECT, related_name="lines", verbose_name=_("folio"))
    position = models.PositiveSmallIntegerField(_("position"))
    side = models.CharField(
        _("side"), max_length=5, default=GUEST, choices=[(GUEST, _("guest")), (HOST, _("host"))]
    )
    code = models.CharField(_("code"), max_length=16)
    quantity = models.IntegerField(_("quantity"))
    unit_minor = models.BigIntegerField(_("unit amount"))
    amount_minor = models.BigIntegerField(_("amount"))
    rule = models.JSONField(_("rule"), default=dict)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "folio_lines"
        ordering = ["folio", "position"]
        verbose_name = _("folio line")
        verbose_name_plural = _("folio lines")
        constraints = [models.UniqueConstraint(fields=["folio", "position"], name="folio_lines_position")]

    def __str__(self) -> str:
        return f"{self.folio_id}.{self.position} {self.code}"


class PaymentQuerySet(models.QuerySet["Payment"]):
    def as_guest(self, actor: Any) -> PaymentQuerySet:
        return self.filter(folio__guest_id=actor.pk)

    def as_host(self, actor: Any) -> PaymentQuerySet:
        return self.filter(folio__host_id=actor.pk)

    def visible_to(self, actor: Any) -> PaymentQuerySet:
        """Those of one's own stays and of one's own listings; staff who deal with money see all."""
        if actor.has_role("support", "finance", "admin", "system"):
            return self
        return self.filter(Q(folio__guest_id=actor.pk) | Q(folio__host_id=actor.pk))


class Payment(models.Model):
    """What a guest sees of a movement: a payment, or a refund of one (``parent``)."""

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
        indexes = [models.Index(fields=["status", "-id"], name="payments_status")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_amount_positive"),
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
    """One movement asked of a provider, written down before it is tried. Its id is the provider's idempotency key."""

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", _("authorize")
        CHARGE = "charge", _("authorize and capture")
        CAPTURE = "capture", _("capture")
        VOID = "void", _("void")
        REFUND = "refund", _("refund")
        PAYOUT = "payout", _("payout")

    State = OpState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, related_name="ops", verbose_name=_("payment")
    )
    kind = models.CharField(_("kind"), max_length=9, choices=Kind.choices)
    provider = models.CharField(_("provider"), max_length=12)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
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
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="money_ops_amount_positive"),
            models.UniqueConstraint(
                fields=["payment"], condition=Q(state__in=OPEN_OPS), name="money_ops_one_open"
            ),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(kind__in=["charge", "capture"], state="succeeded"),
                name="money_ops_taken_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ProviderEvent(models.Model):
    """A webhook as it came, kept once per provider and event id, applied by the worker.

    ``op_key`` is our own key, where the provider hands it back.
    """

    provider = models.CharField(_("provider"), max_length=12)
    event_id = models.CharField(_("event"), max_length=120)
    type = models.CharField(_("type"), max_length=60)
    object_ref = models.CharField(_("object"), max_length=120, db_index=True)
    op_key = models.CharField(_("our key"), max_length=80, blank=True)
    payload = models.JSONField(_("payload"))
    received_at = models.DateTimeField(_("received at"))
    applied_at = models.DateTimeField(_("applied at"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=120, blank=True)

    class Meta:
        db_table = "provider_events"
        ordering = ["-id"]
        verbose_name = _("provider event")
        verbose_name_plural = _("provider events")
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="provider_events_once")]
        indexes = [models.Index(fields=["id"], condition=Q(applied_at=None), name="provider_events_waiting")]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id}"


class LedgerTransaction(models.Model):
    """A set of entries that sums to zero per currency, with its cause."""

    cause = models.CharField(_("cause"), max_length=40)
    folio = models.ForeignKey(
        Folio, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("folio")
    )
    money_op = models.ForeignKey(
        MoneyOp, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("money operation")
    )
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "ledger_transactions"
        ordering = ["-id"]
        verbose_name = _("ledger transaction")
        verbose_name_plural = _("ledger transactions")
        constraints = [
            models.UniqueConstraint(
                fields=["money_op"], condition=~Q(money_op=None), name="ledger_once_per_op"
            ),
            models.UniqueConstraint(
                fields=["folio"], condition=Q(cause="stay.completed"), name="ledger_stay_earned_once"
            ),
            models.UniqueConstraint(
                fields=["folio", "cause"],
                condition=Q(cause__in=["stay.canceled", "host.penalty", "host.penalty_waived"]),
                name="ledger_end_of_stay_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause} #{self.pk}"


class LedgerEntry(models.Model):
    """One side of a movement: positive is debit, negative is credit. Never changed, never deleted."""

    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="entries", verbose_name=_("transaction")
    )
    account = models.CharField(_("account"), max_length=40)
    currency = models.CharField(_("currency"), max_length=3)
    amount_minor = models.BigIntegerField(_("amount"))

    class Meta:
        db_table = "ledger_entries"
        ordering = ["transaction", "id"]
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        indexes = [models.Index(fields=["account", "currency"], name="ledger_entries_account")]
        constraints = [models.CheckConstraint(condition=~Q(amount_minor=0), name="ledger_entries_not_zero")]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_minor} {self.currency}"


class SandboxRecord(models.Model):
    """The sandbox provider's own journal: what it was asked under which key, and what it did."""

    key = models.CharField(_("idempotency key"), max_length=80, primary_key=True)
    reference = models.CharField(_("reference"), max_length=40, unique=True)
    kind = models.CharField(_("kind"), max_length=9)
    parent_ref = models.CharField(_("of"), max_length=40, blank=True)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    outcome = models.CharField(_("asked outcome"), max_length=12)
    state = models.CharField(_("state"), max_length=12)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    calls = models.PositiveIntegerField(_("calls"), default=1)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "sandbox_journal"
        ordering = ["-created_at"]
        verbose_name = _("sandbox record")
        verbose_name_plural = _("sandbox journal")

    def __str__(self) -> str:
        return self.reference
