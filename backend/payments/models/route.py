"""Which provider takes and pays which money."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ProviderRoute(models.Model):
    """A provider for a currency and a country; empty means any. The most specific one wins, then the lower ``rank``.

    ``direction`` in: what guests pay; out: what hosts are paid.
    """

    direction = models.CharField(
        _("direction"), max_length=3, choices=[("in", _("guests pay")), ("out", _("hosts are paid"))]
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    provider = models.CharField(_("provider"), max_length=12)
    rank = models.PositiveSmallIntegerField(_("rank"), default=1)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "provider_routes"
        ordering = ["direction", "currency", "country", "rank", "id"]
        verbose_name = _("provider route")
        verbose_name_plural = _("provider routes")
        constraints = [
            models.UniqueConstraint(
                fields=["direction", "currency", "country", "provider"], name="provider_routes_once"
            ),
            models.CheckConstraint(
                condition=Q(direction__in=["in", "out"]), name="provider_routes_direction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.currency or '*'} {self.country or '*'} → {self.provider}"
