"""Documents with a number: once issued they never change."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.payments.models.folio import Folio
from backend.payments.models.movement import Payment


class DocumentKind(models.TextChoices):
    INVOICE = "invoice", _("invoice")
    RECEIPT = "receipt", _("receipt")
    CREDIT_NOTE = "credit_note", _("credit note")
    STATEMENT = "statement", _("payout statement")


class DocumentSeries(models.Model):
    """The numbers of one kind of document of one issuer in one year; the row is locked while one is given out."""

    issuer = models.CharField(_("issuer"), max_length=40)
    kind = models.CharField(_("kind"), max_length=11, choices=DocumentKind.choices)
    year = models.PositiveSmallIntegerField(_("year"))
    last_number = models.PositiveIntegerField(_("last number"), default=0)

    class Meta:
        db_table = "document_series"
        ordering = ["issuer", "kind", "year"]
        verbose_name = _("number range")
        verbose_name_plural = _("number ranges")
        constraints = [
            models.UniqueConstraint(fields=["issuer", "kind", "year"], name="document_series_once")
        ]

    def __str__(self) -> str:
        return f"{self.issuer} {self.kind} {self.year}"


class DocumentQuerySet(models.QuerySet["Document"]):
    def visible_to(self, actor: Any) -> DocumentQuerySet:
        """One's own; staff who account for money see all. Support does not: whole names and addresses stand on them."""
        if actor.has_role("finance", "admin", "system"):
            return self
        return self.filter(recipient_id=actor.pk)


class Document(models.Model):
    """An invoice, receipt, credit note or payout statement. ``data`` is all that stands on it; the PDF is made of it.

    ``number`` runs without a gap per issuer, kind and year. ``sha256`` is that of the PDF that was made first.
    """

    Kind = DocumentKind

    kind = models.CharField(_("kind"), max_length=11, choices=DocumentKind.choices)
    issuer = models.CharField(_("issuer"), max_length=40)
    year = models.PositiveSmallIntegerField(_("year"))
    number = models.PositiveIntegerField(_("number"))
    reference = models.CharField(_("document number"), max_length=60, unique=True)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="documents",
        verbose_name=_("recipient"),
    )
    folio = models.ForeignKey(
        Folio,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="documents",
        verbose_name=_("folio"),
    )
    payment = models.ForeignKey(
        Payment,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="documents",
        verbose_name=_("payment"),
    )
    corrects = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="corrections",
        verbose_name=_("corrects"),
    )
    month = models.DateField(_("month"), null=True, blank=True)
    language = models.CharField(_("language"), max_length=8)
    law_language = models.CharField(_("language of the law"), max_length=8, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    total_minor = models.BigIntegerField(_("total"))
    data = models.JSONField(_("content"))
    file = models.CharField(_("file"), max_length=200, blank=True)
    sha256 = models.CharField(_("checksum"), max_length=64, blank=True)
    issued_at = models.DateTimeField(_("issued at"))
    emailed_at = models.DateTimeField(_("emailed at"), null=True, blank=True)

    objects = DocumentQuerySet.as_manager()

    class Meta:
        db_table = "documents"
        ordering = ["-id"]
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        indexes = [models.Index(fields=["issued_at"], name="documents_issued")]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "kind", "year", "number"], name="documents_number"),
            models.UniqueConstraint(
                fields=["payment", "kind"],
                condition=Q(payment__isnull=False),
                name="documents_once_per_payment",
            ),
            models.UniqueConstraint(
                fields=["recipient", "month", "currency"],
                condition=Q(kind="statement"),
                name="documents_one_statement_a_month",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
