"""Conversations: a guest and the people of a listing, the numbered messages between them, and who blocks whom."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import private
from backend.listings.models import Listing, hosted_by

BODY_LONGEST = 5000
"""Characters of one message."""


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def as_guest(self, actor: Any) -> ConversationQuerySet:
        return self.filter(guest_id=actor.pk)

    def as_host(self, actor: Any) -> ConversationQuerySet:
        """Those about one's places, and about those whose messages one answers for somebody else."""
        return self.filter(hosted_by(actor, "messages"))

    def visible_to(self, actor: Any) -> ConversationQuerySet:
        """One's own as guest, host or co-host. Staff are no party: they look by ``reading.look``, with a reason."""
        if actor.has_role("system"):
            return self
        return self.filter(Q(guest_id=actor.pk) | hosted_by(actor, "messages"))

    def for_reader(self, user: Any) -> ConversationQuerySet:
        """With what ``user`` has of each: ``unread`` messages of others, and since when it is put away (``put_away_at``)."""
        mine = Participation.objects.filter(conversation=OuterRef("pk"), user_id=user.pk)
        unread = Message.objects.filter(
            conversation=OuterRef("pk"), seq__gt=OuterRef("read_up_to"), sender__isnull=False, hidden_at=None
        ).exclude(sender=user.pk)
        counted = unread.order_by().values("conversation").annotate(count=Count("pk")).values("count")
        return self.annotate(
            read_up_to=Coalesce(Subquery(mine.values("read_seq")), 0),
            put_away_at=Subquery(mine.values("archived_at")),
        ).annotate(unread=Coalesce(Subquery(counted), 0))


class Conversation(models.Model):
    """What a guest and the host of one listing write to each other, from the first question on; one for each pair.

    ``last_seq`` is the number of its newest message. Contact data passes unmasked once ``contact_open_at`` is set: a
    booking of this guest at this listing was confirmed then. ``updated_at`` moves with each message.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.PROTECT, related_name="conversations", verbose_name=_("listing")
    )
    guest = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("guest")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("host")
    )
    last_seq = models.BigIntegerField(_("messages"), default=0, editable=False)
    last_message_at = models.DateTimeField(_("last message at"), null=True, editable=False)
    contact_open_at = models.DateTimeField(_("contact data passes since"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    objects = ConversationQuerySet.as_manager()

    class Meta:
        db_table = "conversations"
        ordering = ["-updated_at", "-id"]
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [
            models.UniqueConstraint(fields=["listing", "guest"], name="conversations_once"),
            models.CheckConstraint(condition=~Q(guest=F("host")), name="conversations_two_people"),
        ]
        indexes = [
            models.Index(fields=["guest", "-updated_at", "-id"], name="conversations_guest"),
            models.Index(fields=["host", "-updated_at", "-id"], name="conversations_host"),
            models.Index(fields=["-updated_at", "-id"], name="conversations_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} · {self.guest_id}"


class Participation(models.Model):
    """How far somebody has read a conversation, and whether they have put it away. No row: nothing read, not put away."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="participations")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    read_seq = models.BigIntegerField(_("read up to"), default=0)
    read_at = models.DateTimeField(_("read at"), null=True)
    archived_at = models.DateTimeField(_("archived at"), null=True)

    class Meta:
        db_table = "participations"
        verbose_name = _("participation")
        verbose_name_plural = _("participations")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "user"], name="participations_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} @ {self.conversation_id}"


class Message(models.Model):
    """One message, numbered without gaps in its conversation. Written once: afterwards it is only read, hidden or blanked.

    A ``system`` one says what happened to a stay: it has no sender, an ``event`` instead, and ``params`` for its text,
    which is made in the reader's language. ``client_id`` is the sender's own word for it: the same twice is one message.
    ``read_at``: when somebody of the other side first read it.
    """

    class Kind(models.TextChoices):
        TEXT = "text", _("text")
        IMAGE = "image", _("image")
        FILE = "file", _("file")
        SYSTEM = "system", _("system")

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", verbose_name=_("conversation")
    )
    seq = models.BigIntegerField(_("number"))
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("sender"),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices, default=Kind.TEXT)
    body = models.TextField(_("text"), max_length=BODY_LONGEST, blank=True)
    event = models.CharField(_("event"), max_length=40, blank=True)
    params = models.JSONField(_("values in its text"), default=dict)
    client_id = models.CharField(max_length=100, blank=True)
    masked = models.BooleanField(_("contact data masked"), default=False)
    hidden_at = models.DateTimeField(_("hidden at"), null=True)
    read_at = models.DateTimeField(_("read at"), null=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "messages"
        ordering = ["conversation", "seq"]
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            # With what tells unread ones: counting them looks at no other page.
            models.UniqueConstraint(
                fields=["conversation", "seq"],
                include=["sender", "kind", "hidden_at"],
                name="messages_gapless",
            ),
            models.UniqueConstraint(
                fields=["conversation", "sender", "client_id"],
                condition=~Q(client_id=""),
                name="messages_client_id_once",
            ),
            models.CheckConstraint(condition=Q(seq__gte=1), name="messages_seq_positive"),
            models.CheckConstraint(
                condition=Q(kind="system", sender=None) & ~Q(event="")
                | Q(kind__in=["text", "image", "file"], sender__isnull=False, event=""),
                name="messages_of_somebody_or_system",
            ),
        ]
        indexes = [models.Index(fields=["sender"], name="messages_sender")]

    def __str__(self) -> str:
        return f"{self.conversation_id}#{self.seq}"


class Attachment(models.Model):
    """A picture or a file that somebody puts into a conversation; ``message`` is empty until it is sent.

    ``name`` is what its sender called it. Pictures are ours, written anew; their ``thumbnail`` is made by a job.
    """

    class Kind(models.TextChoices):
        IMAGE = "image", _("image")
        FILE = "file", _("file")

    uploader = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("uploaded by")
    )
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="attachments", verbose_name=_("conversation")
    )
    message = models.ForeignKey(
        Message, null=True, on_delete=models.CASCADE, related_name="attachments", verbose_name=_("message")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    file = models.FileField(_("file"), max_length=200, storage=private)
    thumbnail = models.CharField(_("thumbnail"), max_length=200, blank=True)
    name = models.CharField(_("name"), max_length=200)
    content_type = models.CharField(_("content type"), max_length=80)
    size = models.PositiveIntegerField(_("bytes"))
    width = models.PositiveIntegerField(_("width"), null=True)
    height = models.PositiveIntegerField(_("height"), null=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "attachments"
        ordering = ["id"]
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="image", width__isnull=False, height__isnull=False)
                | Q(kind="file", width=None, height=None, thumbnail=""),
                name="attachments_pictures_have_sides",
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(message=None), name="attachments_unsent"),
        ]

    def __str__(self) -> str:
        return self.name


class UserBlock(models.Model):
    """``blocker`` wants nothing more from ``blocked``: neither of them can write to the other."""

    blocker = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("blocked by")
    )
    blocked = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("blocked")
    )
    created_at = models.DateTimeField(_("since"))

    class Meta:
        db_table = "user_blocks"
        ordering = ["-id"]
        verbose_name = _("block of a user")
        verbose_name_plural = _("blocks of users")
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="user_blocks_once"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="user_blocks_two_people"),
        ]

    def __str__(self) -> str:
        return f"{self.blocker_id} → {self.blocked_id}"
