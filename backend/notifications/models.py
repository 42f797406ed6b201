"""Notices to people: the in-app rows, the live events that carry them to sockets, the deliveries by other channels."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Session
from backend.core.sealed import SealedTextField
from backend.notifications.kinds import EMAIL, SMS


class Notification(models.Model):
    """Something a user should know, once per kind and object. Texts are rendered when it is read, in their language.

    One that is not ``in_app`` stands here for what is mailed or texted of it, and is not shown.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notifications",
        verbose_name=_("user"),
    )
    kind = models.CharField(_("kind"), max_length=40)
    object_key = models.CharField(_("about"), max_length=80)
    params = models.JSONField(_("values in its text"), default=dict)
    data = models.JSONField(_("ids for clients"), default=dict)
    url = models.CharField(_("link"), max_length=300, blank=True)
    in_app = models.BooleanField(_("shown"), default=True, db_default=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "notifications"
        ordering = ["-id"]
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "object_key"], name="notifications_once"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="notifications_newest"),
            models.Index(fields=["user"], condition=models.Q(read_at=None), name="notifications_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} → {self.user}"


class LiveEvent(models.Model):
    """A frame for a user's sockets, kept so that a client can resume.

    ``seq`` counts without gaps per user. The database gives it when the transaction commits, so that numbers
    appear in their order and an operation holds no user's row for longer than the commit takes.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seq = models.BigIntegerField(null=True, editable=False)
    type = models.CharField(max_length=40)
    data = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "live_events"
        constraints = [models.UniqueConstraint(fields=["user", "seq"], name="live_events_gapless")]
        indexes = [
            models.Index(fields=["created_at"], name="live_events_age"),
            models.Index(fields=["id"], condition=models.Q(seq=None), name="live_events_unnumbered"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}#{self.seq} {self.type}"


class Delivery(models.Model):
    """A notice on its way by another channel, with what came of it.

    ``sending`` is held by the job that took it at ``attempted_at``; a job that died lets go after a while.
    ``carrier`` is who has taken it, or may have, ``provider_id`` what they call it, and ``settled_at`` when they last
    said what became of it.
    """

    EMAIL, SMS = EMAIL, SMS
    QUEUED, SENDING, SENT, FAILED = "queued", "sending", "sent", "failed"
    DELIVERED, BOUNCED = "delivered", "bounced"
    SUPPRESSED, SKIPPED, UNKNOWN = "suppressed", "skipped", "unknown"

    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("notification")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=[(EMAIL, _("email")), (SMS, _("SMS"))])
    state = models.CharField(
        _("state"),
        max_length=10,
        default=QUEUED,
        choices=[
            (QUEUED, _("queued")),
            (SENDING, _("being sent")),
            (SENT, _("sent")),
            (DELIVERED, _("delivered")),
            (BOUNCED, _("bounced")),
            (FAILED, _("failed")),
            (SUPPRESSED, _("suppressed")),
            (SKIPPED, _("skipped")),
            (UNKNOWN, _("unknown")),
        ],
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=300, blank=True)
    carrier = models.CharField(_("carrier"), max_length=20, blank=True, default="", db_default="")
    provider_id = models.CharField(_("provider's number"), max_length=200, blank=True, db_default="")
    created_at = models.DateTimeField(_("created at"))
    attempted_at = models.DateTimeField(_("last attempt at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("last heard of at"), null=True, blank=True)

    class Meta:
        db_table = "deliveries"
        ordering = ["-id"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["notification", "channel"], name="deliveries_once")]
        indexes = [
            models.Index(
                fields=["provider_id"], condition=~models.Q(provider_id=""), name="deliveries_provider"
            ),
            models.Index(fields=["attempted_at"], condition=models.Q(channel=SMS), name="deliveries_texted"),
            models.Index(
                fields=["state", "-id"],
                condition=models.Q(state__in=["failed", "bounced", "suppressed", "skipped", "unknown"]),
                name="deliveries_astray",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} · {self.notification}"


class DeliveryStep(models.Model):
    """What happened to a delivery beside going out at once: a failed try, a bounce, a guard that stopped it."""

    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="steps", verbose_name=_("delivery")
    )
    at = models.DateTimeField(_("at"))
    state = models.CharField(_("state"), max_length=10)
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        db_table = "delivery_steps"
        ordering = ["id"]
        verbose_name = _("step of a delivery")
        verbose_name_plural = _("steps of deliveries")

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.state}"


class SuppressedAddress(models.Model):
    """An address of a user that nothing is sent to any more: it bounced, or its reader complained.

    It holds as long as the user has that address (``suppressions``); links and codes that prove an address still go to
    it, since by them it is released.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="suppressed_addresses",
        verbose_name=_("user"),
    )
    channel = models.CharField(_("channel"), max_length=10, choices=[(EMAIL, _("email")), (SMS, _("SMS"))])
    address = SealedTextField(_("address"), max_length=254)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "suppressed_addresses"
        ordering = ["-id"]
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")
        constraints = [
            models.UniqueConstraint(fields=["user", "channel"], name="suppressed_addresses_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.channel}"


class SocketTicket(models.Model):
    """Leave to open one websocket, once and soon. Only its hash is kept; it dies with the session that asked."""

    hash = models.BinaryField(primary_key=True, max_length=32, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "socket_tickets"
        indexes = [models.Index(fields=["expires_at"], name="socket_tickets_age")]

    def __str__(self) -> str:
        return f"{self.user_id} until {self.expires_at:%H:%M:%S}"
