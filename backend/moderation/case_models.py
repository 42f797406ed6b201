"""Cases: what is reported or found about one thing, who looks at it until when, what was decided, and what follows."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField
from backend.moderation.reasons import CODES
from backend.moderation.subjects import SUBJECTS, About, exactly_one

WORDS_LONGEST = 500
APPEAL_LONGEST = 2000


class Case(About):
    """One look at one thing. ``person`` is whose it is; ``due_at`` is when somebody should have decided.

    ``version`` rises with everything that a moderator does to it: whoever decides has seen the one they decide on.
    ``resubmitted_at``: when its host offered the place again after changes were asked for.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        WAITING = "waiting_for_host", _("waits for the host")
        DECIDED = "decided", _("decided")
        APPEALED = "appealed", _("appealed")
        CLOSED = "closed", _("closed")

    class Priority(models.IntegerChoices):
        LOW = 0, _("low")
        NORMAL = 1, _("normal")
        HIGH = 2, _("high")
        URGENT = 3, _("urgent")

    IN_HAND = (Status.OPEN, Status.WAITING)
    """What new reports and flags are gathered under."""

    QUEUED = (Status.OPEN, Status.APPEALED)
    """What waits for a moderator."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="moderation_cases",
        verbose_name=_("whose"),
    )
    status = models.CharField(
        _("status"), max_length=16, choices=Status.choices, default=Status.OPEN, editable=False
    )
    priority = models.PositiveSmallIntegerField(
        _("priority"), choices=Priority.choices, default=Priority.NORMAL
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("taken by"),
    )
    taken_at = models.DateTimeField(_("taken at"), null=True)
    opened_at = models.DateTimeField(_("opened at"))
    due_at = models.DateTimeField(_("due at"))
    resubmitted_at = models.DateTimeField(_("offered again at"), null=True)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    closed_at = models.DateTimeField(_("closed at"), null=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        db_table = "moderation_cases"
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        indexes = [
            models.Index(
                fields=["due_at", "id"],
                name="moderation_cases_queue",
                condition=Q(status__in=["open", "appealed"]),
            ),
            models.Index(fields=["status", "-id"], name="moderation_cases_status"),
            models.Index(fields=["person", "-id"], name="moderation_cases_person"),
            models.Index(fields=["assignee", "due_at"], name="moderation_cases_assignee"),
            models.Index(fields=["listing", "-id"], name="moderation_cases_listing"),
        ]
        constraints = [
            *(
                models.UniqueConstraint(
                    fields=[subject],
                    name=f"moderation_cases_one_{subject}",
                    condition=Q(status__in=["open", "waiting_for_host"]),
                )
                for subject in SUBJECTS
            ),
            models.CheckConstraint(condition=exactly_one(), name="moderation_cases_one_subject"),
            models.CheckConstraint(
                condition=Q(status__in=["open", "waiting_for_host"], decided_at=None, closed_at=None)
                | Q(status__in=["decided", "appealed"], decided_at__isnull=False, closed_at=None)
                | Q(status="closed", closed_at__isnull=False),
                name="moderation_cases_times",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.kind})"


class Decision(models.Model):
    """What a moderator did in a case. ``changes`` and ``flag`` are steps on the way; any other ends it, so there is one.

    ``words`` are what the moderator adds to the sentence of ``reason_code``; ``snapshot`` is the listing as it was then
    (see ``snapshots``); ``before`` is the status that it had, to which a granted appeal takes it back.
    """

    class Action(models.TextChoices):
        APPROVE = "approve", _("approved")
        CHANGES = "changes", _("changes asked for")
        FLAG = "flag", _("flagged")
        REJECT = "reject", _("rejected")
        SUSPEND = "suspend", _("listing suspended")
        SUSPEND_PERSON = "suspend_person", _("person suspended")
        HIDE = "hide", _("hidden")
        DISMISS = "dismiss", _("dismissed")

    STEPS = (Action.CHANGES, Action.FLAG)
    AGAINST = (Action.REJECT, Action.SUSPEND, Action.SUSPEND_PERSON, Action.HIDE)
    """What takes something away from somebody, who may appeal."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="decisions", verbose_name=_("case"))
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="moderation_decisions",
        verbose_name=_("whose"),
    )
    action = models.CharField(_("decision"), max_length=16, choices=Action.choices)
    reason_code = models.CharField(_("reason"), max_length=20, choices=CODES, blank=True)
    words = models.CharField(_("words"), max_length=WORDS_LONGEST, blank=True)
    before = models.CharField(_("status before"), max_length=16, blank=True)
    snapshot = models.JSONField(_("as it was"), default=dict, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided at"))
    appeal_until = models.DateTimeField(_("may be appealed until"), null=True)
    reversed_at = models.DateTimeField(_("taken back at"), null=True)

    class Meta:
        db_table = "moderation_decisions"
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        indexes = [
            models.Index(fields=["person", "-id"], name="moderation_decisions_person"),
            models.Index(fields=["reason_code", "-id"], name="moderation_decisions_reason"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["case"],
                name="moderation_decisions_one",
                condition=~Q(action__in=["changes", "flag"]),
            ),
            models.CheckConstraint(
                condition=Q(appeal_until=None)
                | Q(action__in=["reject", "suspend", "suspend_person", "hide"]),
                name="moderation_decisions_appeal",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.action})"


class Appeal(models.Model):
    """What somebody says against a decision about them; once each. Somebody else than the decider decides."""

    class Status(models.TextChoices):
        OPEN = "open", _("waits for a decision")
        UPHELD = "upheld", _("the decision stands")
        REVERSED = "reversed", _("the decision is taken back")

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, related_name="appeal", verbose_name=_("decision")
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("by")
    )
    words = SealedTextField(_("words"), max_length=APPEAL_LONGEST, blank=True)
    status = models.CharField(_("status"), max_length=8, choices=Status.choices, default=Status.OPEN)
    note = models.CharField(_("reason of the decision"), max_length=WORDS_LONGEST, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    created_at = models.DateTimeField(_("created at"))
    decided_at = models.DateTimeField(_("decided at"), null=True)

    class Meta:
        db_table = "moderation_appeals"
        verbose_name = _("appeal")
        verbose_name_plural = _("appeals")
        indexes = [models.Index(fields=["person", "-id"], name="moderation_appeals_person")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="open", decided_at=None, decided_by=None)
                | Q(status__in=["upheld", "reversed"], decided_at__isnull=False),
                name="moderation_appeals_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.status})"


class Strike(models.Model):
    """Points against a person for a decision. They count until ``expires_at``, unless the decision is taken back.

    ``paused`` are the listings that went off the marketplace by it.
    """

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, related_name="strike", verbose_name=_("decision")
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="strikes", verbose_name=_("person")
    )
    points = models.PositiveSmallIntegerField(_("points"))
    reason_code = models.CharField(_("reason"), max_length=20, choices=CODES)
    paused = ArrayField(models.BigIntegerField(), default=list, blank=True, verbose_name=_("paused listings"))
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("counts until"))
    removed_at = models.DateTimeField(_("removed at"), null=True)

    class Meta:
        db_table = "moderation_strikes"
        verbose_name = _("strike")
        verbose_name_plural = _("strikes")
        indexes = [
            models.Index(
                fields=["person", "expires_at"],
                name="moderation_strikes_counting",
                condition=Q(removed_at=None),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(points__gt=0), name="moderation_strikes_points"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="moderation_strikes_in_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person_id}: {self.points}"
