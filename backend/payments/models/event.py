"""What providers told us."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ProviderEvent(models.Model):
    """A webhook as it came, kept once per provider and event id, applied by the worker.

    ``op_key`` is our own key, where the provider hands it back; ``topic`` says what ``object_ref`` names, and
    ``account`` whose event it is where the provider keeps accounts of our hosts. Nobody tries it before ``retry_at``:
    somebody is at it, or it failed a moment ago.
    """

    provider = models.CharField(_("provider"), max_length=12)
    event_id = models.CharField(_("event"), max_length=120)
    topic = models.CharField(
        _("about"),
        max_length=8,
        default="order",
        choices=[
            ("order", _("an order")),
            ("dispute", _("a dispute")),
            ("account", _("an account")),
            ("delivery", _("payouts that arrived")),
            ("other", _("something else")),
        ],
    )
    account = models.CharField(_("account"), max_length=120, blank=True)
    type = models.CharField(_("type"), max_length=60)
    object_ref = models.CharField(_("object"), max_length=120, db_index=True)
    op_key = models.CharField(_("our key"), max_length=80, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    retry_at = models.DateTimeField(_("tried again at"), null=True, blank=True)
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
        indexes = [
            models.Index(fields=["id"], condition=Q(applied_at=None), name="provider_events_waiting"),
            models.Index(fields=["op_key"], condition=~Q(op_key=""), name="provider_events_of_key"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id}"
