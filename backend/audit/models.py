"""The audit log: who did what to what, from where and why. Rows are written in the acting transaction, once.

The database adds to each entry a digest of itself and of the one before it about the same object; ``chain`` seals
and verifies them.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Door(models.TextChoices):
    """Through which door the act came."""

    API = "api", _("API")
    ADMIN = "admin", _("back office")
    SOCKET = "socket", _("live connection")
    JOB = "job", _("job")
    COMMAND = "command", _("command line")


class AuditEntry(models.Model):
    """One act. ``before`` and ``after`` hold the changed fields only; no secrets, no personal texts.

    ``address`` may be taken out later (``services.forget_addresses``): the digest holds only what it comes to with
    ``salt``. ``digest``, ``salt``, ``origin`` and the number are made by the database; an entry that was just written
    does not know them.
    """

    at = models.DateTimeField(_("at"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("actor"),
        help_text=_("Empty: the system itself."),
    )
    action = models.CharField(_("action"), max_length=60)
    object_type = models.CharField(_("kind of object"), max_length=40)
    object_id = models.CharField(_("object"), max_length=40)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    in_stead_of = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("in the stead of"),
        help_text=_("Whose place it is, when somebody else acted there."),
    )
    door = models.CharField(_("door"), max_length=10, choices=Door.choices, blank=True)
    session_id = models.UUIDField(_("session"), null=True, help_text=_("The device that was signed in."))
    salt = models.BinaryField(max_length=16, null=True, editable=False)
    origin = models.BinaryField(max_length=32, null=True, editable=False)
    digest = models.BinaryField(_("digest"), max_length=32, default=b"", editable=False)

    class Meta:
        db_table = "audit_log"
        ordering = ["-id"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_log_object"),
            models.Index(fields=["actor", "-id"], name="audit_log_actor"),
            models.Index(fields=["action", "-id"], name="audit_log_action"),
            models.Index(fields=["at", "-id"], name="audit_log_at"),
            models.Index(fields=["request_id"], condition=~models.Q(request_id=""), name="audit_log_request"),
            models.Index(
                fields=["address", "-id"],
                condition=models.Q(address__isnull=False),
                name="audit_log_address",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class AuditSeal(models.Model):
    """All entries up to ``last_entry`` that no earlier seal holds, counted and digested together.

    ``digest`` holds the one of the seal before; ``mac`` is made of it with a key that the database does not know.
    Seals are numbered without gaps from 1.
    """

    id = models.BigIntegerField(_("number"), primary_key=True)
    last_entry = models.BigIntegerField(_("last entry"))
    entries = models.PositiveIntegerField(_("entries"))
    digest = models.BinaryField(max_length=32, editable=False)
    mac = models.BinaryField(max_length=32, editable=False)
    sealed_at = models.DateTimeField(_("sealed at"))
    verified_at = models.DateTimeField(_("verified at"), null=True)

    class Meta:
        db_table = "audit_seals"
        ordering = ["-id"]
        verbose_name = _("seal of the audit log")
        verbose_name_plural = _("seals of the audit log")

    def __str__(self) -> str:
        return f"{self.id}"
