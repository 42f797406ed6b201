"""Where other people's programs want to hear what happens, and what became of telling them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core.sealed import SealedTextField


class WebhookEndpoint(models.Model):
    """An address that hears of its user's events, signed with ``secret``. ``events``: which types; empty is all.

    ``previous_secret`` signs beside the new one until ``previous_until``. ``busy_until``: somebody is delivering.
    """

    class Reason(models.TextChoices):
        BY_USER = "by_user", _("switched off by its owner")
        FAILING = "failing", _("did not answer for days")
        GONE = "gone", _("answered that it is gone")
        BY_STAFF = "by_staff", _("switched off by the platform")

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="webhook_endpoints", verbose_name=_("user")
    )
    url = SealedTextField(_("address"), max_length=2000)
    description = models.CharField(_("description"), max_length=120, blank=True)
    events = ArrayField(models.CharField(max_length=40), default=list, verbose_name=_("events"))
    secret = SealedTextField(_("secret"))
    previous_secret = SealedTextField(_("previous secret"), blank=True)
    previous_until = models.DateTimeField(_("previous secret signs until"), null=True, blank=True)
    disabled_at = models.DateTimeField(_("switched off at"), null=True, blank=True)
    disabled_reason = models.CharField(
        _("switched off because"), max_length=10, choices=Reason.choices, blank=True
    )
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    busy_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "webhook_endpoints"
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        indexes = [
            models.Index(fields=["user"], condition=Q(disabled_at=None), name="webhook_endpoints_listening"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint. ``event_id`` is what receivers tell doubles by; it never changes.

    Events with the same ``object_key`` go in the order of their rows: a later one waits for the one before.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("webhook")
    )
    event_id = models.CharField(_("event"), max_length=40)
    type = models.CharField(_("type"), max_length=40)
    object_key = models.CharField(_("about"), max_length=80)
    data = models.JSONField(_("content"))
    created_at = models.DateTimeField(_("happened at"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    retries = models.PositiveSmallIntegerField(_("attempts since it was queued"), default=0)
    next_at = models.DateTimeField(_("next attempt at"))
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="webhook_deliveries_once"),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "object_key", "id"],
                condition=Q(state="waiting"),
                name="webhook_deliveries_waiting",
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_deliveries_newest"),
            models.Index(fields=["created_at"], name="webhook_deliveries_age"),
            models.Index(fields=["-id"], condition=Q(state="failed"), name="webhook_deliveries_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class WebhookAttempt(models.Model):
    """One try of a delivery: the status that came back, or the word for why none did."""

    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.CASCADE, related_name="tries", verbose_name=_("webhook delivery")
    )
    number = models.PositiveSmallIntegerField(_("number"))
    at = models.DateTimeField(_("at"))
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=30, blank=True)
    took_ms = models.PositiveIntegerField(_("took (ms)"))

    class Meta:
        db_table = "webhook_attempts"
        verbose_name = _("attempt of a webhook")
        verbose_name_plural = _("attempts of webhooks")
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="webhook_attempts_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number}"
