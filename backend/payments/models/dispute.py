"""A guest's bank takes a payment back, or threatens to."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.payments.models.books import LedgerTransaction
from backend.payments.models.movement import Payment
from backend.payments.states import DisputeStatus


class Dispute(models.Model):
    """One dispute of a payment. ``amount_minor`` is in the currency that was charged, ``folio_minor`` in the folio's.

    ``funds_withdrawn``: the provider has taken the money from us for as long as it lasts. ``fee_minor``: what the
    provider asks for it. ``loss`` is where the books say who bears it, as long as it is lost. ``version`` counts what
    was learned of it, so that an answer that was overtaken is seen.
    """

    Status = DisputeStatus

    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, related_name="disputes", verbose_name=_("payment")
    )
    provider = models.CharField(_("provider"), max_length=12)
    provider_ref = models.CharField(_("provider's reference"), max_length=120)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    folio_minor = models.BigIntegerField(_("amount of the stay"))
    fee_minor = models.BigIntegerField(_("provider's fee"), default=0)
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    status = models.CharField(
        _("status"), max_length=14, choices=DisputeStatus.choices, default=DisputeStatus.NEEDS_RESPONSE
    )
    funds_withdrawn = models.BooleanField(_("money taken"), default=False)
    opened_at = models.DateTimeField(_("opened at"))
    evidence_due_at = models.DateTimeField(_("evidence due"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    loss = models.ForeignKey(
        LedgerTransaction,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("booked as lost"),
    )
    note = models.TextField(_("note on the evidence"), max_length=5000, blank=True)
    version = models.PositiveIntegerField(_("version"), default=0)

    class Meta:
        db_table = "disputes"
        ordering = ["-id"]
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        indexes = [
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["needs_response", "under_review"]),
                name="disputes_open",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "provider_ref"], name="disputes_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, folio_minor__gt=0, fee_minor__gte=0), name="disputes_amounts"
            ),
        ]

    def __str__(self) -> str:
        return self.provider_ref


class DisputeAnswer(models.Model):
    """What was answered to a dispute: evidence, or that it is accepted. Written down before the provider is told.

    Its id is the provider's idempotency key. ``version`` is the dispute's when it was given: a bank that asks again is
    answered again. ``facts`` are the names of those that were sent beside ``text``.
    """

    class Kind(models.TextChoices):
        EVIDENCE = "evidence", _("evidence")
        ACCEPTANCE = "acceptance", _("accepted")

    class State(models.TextChoices):
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        REFUSED = "refused", _("refused")
        UNKNOWN = "unknown", _("unknown")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dispute = models.ForeignKey(
        Dispute, on_delete=models.PROTECT, related_name="answers", verbose_name=_("dispute")
    )
    version = models.PositiveIntegerField(_("version"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    text = models.TextField(_("text"), max_length=5000, blank=True)
    facts = models.JSONField(_("facts"), default=list)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.SENDING)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("given by")
    )
    created_at = models.DateTimeField(_("created at"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        db_table = "dispute_answers"
        ordering = ["-created_at"]
        verbose_name = _("answer to a dispute")
        verbose_name_plural = _("answers to disputes")
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=["sending", "unknown"]),
                name="dispute_answers_open",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["dispute", "version"],
                condition=~Q(state="refused"),
                name="dispute_answers_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
