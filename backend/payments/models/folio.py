"""The account of one stay."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Folio(models.Model):
    """The account of one stay: priced lines that sum to what the guest owes (the hotel trade's word).

    All of it is in ``currency``. Where the guest pays in another one, ``charge_rate`` is how much of
    ``charge_currency`` one unit of ``currency`` costs, as the quote promised it.
    """

    guest = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("guest")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("host")
    )
    currency = models.CharField(_("currency"), max_length=3)
    charge_currency = models.CharField(_("charged in"), max_length=3, blank=True)
    charge_rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=10, null=True, blank=True)
    charge_rate_on = models.DateField(_("rate of"), null=True, blank=True)
    charge_rate_source = models.CharField(_("source of the rate"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "folios"
        verbose_name = _("folio")
        verbose_name_plural = _("folios")
        constraints = [
            models.CheckConstraint(
                condition=Q(charge_currency="", charge_rate=None)
                | ~Q(charge_currency="") & Q(charge_rate__gt=0),
                name="folios_charge_rate",
            )
        ]

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
