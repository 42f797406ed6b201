"""What hosts are paid: where to, when, how it is divided, and what holds it back."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField
from backend.listings.models import Listing
from backend.payments.models.folio import Folio
from backend.payments.states import PayoutStatus


class PayoutAccount(models.Model):
    """Where a host is paid. ``shown`` is what may be shown of ``destination`` (•••• 4242).

    An empty ``currency``: each payout in its listing's. ``replaced_at``: since when it is named instead of another.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting for the provider")
        ACTIVE = "active", _("active")
        RESTRICTED = "restricted", _("restricted")
        DISABLED = "disabled", _("disabled")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="payout_accounts",
        verbose_name=_("user"),
    )
    provider = models.CharField(_("provider"), max_length=12)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    provider_ref = models.CharField(_("provider's account"), max_length=120, blank=True)
    destination = SealedTextField(_("destination"), blank=True)
    shown = models.CharField(_("shown as"), max_length=80, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    requirements = models.JSONField(_("what the provider still asks for"), default=list, blank=True)
    is_default = models.BooleanField(_("default"), default=False)
    replaced_at = models.DateTimeField(_("takes the place of another since"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "payout_accounts"
        ordering = ["id"]
        verbose_name = _("payout account")
        verbose_name_plural = _("payout accounts")
        indexes = [models.Index(fields=["provider", "provider_ref"], name="payout_accounts_ref")]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(is_default=True), name="payout_accounts_one_default"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | ~Q(status="disabled"), name="payout_accounts_default_usable"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.shown or self.pk}"


class PayoutSplit(models.Model):
    """The part of a listing's earnings that goes to somebody else than its host: ``percent`` of the host's share."""

    listing = models.ForeignKey(
        Listing, on_delete=models.PROTECT, related_name="payout_splits", verbose_name=_("listing")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("receiver")
    )
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "payout_splits"
        ordering = ["id"]
        verbose_name = _("payout split")
        verbose_name_plural = _("payout splits")
        constraints = [
            models.UniqueConstraint(fields=["listing", "user"], name="payout_splits_once"),
            models.CheckConstraint(
                condition=Q(percent__gt=0, percent__lte=100), name="payout_splits_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.percent} %"


class PayoutQuerySet(models.QuerySet["Payout"]):
    def visible_to(self, actor: Any) -> PayoutQuerySet:
        """One's own; staff who deal with money see all."""
        if actor.has_role("support", "finance", "admin", "system"):
            return self
        return self.filter(receiver_id=actor.pk)


class Payout(models.Model):
    """What one receiver gets for one stay, or for one month of a long one (``part``).

    ``gross_minor`` is their share, ``netted_minor`` what was taken from it for debts of other stays, ``amount_minor``
    the rest; all in the folio's currency. ``paid_minor`` of ``paid_currency`` is what the account gets, at ``rate``
    (units of the account's currency for one of the folio's).
    """

    Status = PayoutStatus

    reference = models.CharField(_("reference"), max_length=16, unique=True)
    receiver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payouts", verbose_name=_("receiver")
    )
    folio = models.ForeignKey(
        Folio, on_delete=models.PROTECT, related_name="payouts", verbose_name=_("folio")
    )
    part = models.PositiveSmallIntegerField(_("part"), default=1)
    account = models.ForeignKey(
        PayoutAccount,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="payouts",
        verbose_name=_("account"),
    )
    gross_minor = models.BigIntegerField(_("earned"))
    netted_minor = models.BigIntegerField(_("taken for debts"), default=0)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    paid_minor = models.BigIntegerField(_("paid"), null=True, blank=True)
    paid_currency = models.CharField(_("paid in"), max_length=3, blank=True)
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=10, null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=PayoutStatus.choices, default=PayoutStatus.SCHEDULED
    )
    due_at = models.DateTimeField(_("due at"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    failure_code = models.CharField(_("failure"), max_length=60, blank=True)
    needs_attention = models.BooleanField(_("needs attention"), default=False)
    created_at = models.DateTimeField(_("created at"))
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    reversed_at = models.DateTimeField(_("came back at"), null=True, blank=True)

    objects = PayoutQuerySet.as_manager()

    class Meta:
        db_table = "payouts"
        ordering = ["-id"]
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        indexes = [
            models.Index(fields=["receiver", "-id"], name="payouts_receiver"),
            models.Index(
                fields=["due_at"],
                condition=Q(status__in=["scheduled", "on_hold", "failed"]),
                name="payouts_due",
            ),
            models.Index(fields=["due_at"], name="payouts_due_at"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["folio", "receiver", "part"],
                condition=~Q(status="reversed"),
                name="payouts_once",
            ),
            models.CheckConstraint(
                condition=Q(gross_minor__gt=0, netted_minor__gte=0, amount_minor__gte=0)
                & Q(amount_minor=models.F("gross_minor") - models.F("netted_minor")),
                name="payouts_amounts",
            ),
            models.CheckConstraint(
                condition=Q(paid_at=None) | Q(status__in=["paid", "reversed"]), name="payouts_paid_at"
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class PayoutHold(models.Model):
    """One reason why a payout waits. ``owner`` is the person who set it, empty for the platform's own rules."""

    class Reason(models.TextChoices):
        NO_ACCOUNT = "no_account", _("no payout account")
        ACCOUNT_RESTRICTED = "account_restricted", _("the payout account is restricted")
        ACCOUNT_CHANGED = "account_changed", _("the payout account was changed")
        NEW_HOST = "new_host", _("new host")
        BELOW_MINIMUM = "below_minimum", _("below the smallest payout")
        DISPUTE = "dispute", _("the guest disputes the payment")
        STAFF = "staff", _("held by staff")

    payout = models.ForeignKey(
        Payout, on_delete=models.PROTECT, related_name="holds", verbose_name=_("payout")
    )
    reason = models.CharField(_("reason"), max_length=18, choices=Reason.choices)
    note = models.CharField(_("note"), max_length=500, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("owner"),
    )
    created_at = models.DateTimeField(_("created at"))
    released_at = models.DateTimeField(_("released at"), null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("released by"),
    )

    class Meta:
        db_table = "payout_holds"
        ordering = ["id"]
        verbose_name = _("payout hold")
        verbose_name_plural = _("payout holds")
        indexes = [
            models.Index(
                fields=["reason", "payout"], condition=Q(released_at=None), name="payout_holds_active"
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["payout", "reason"],
                condition=Q(released_at=None) & ~Q(reason="staff"),
                name="payout_holds_once",
            )
        ]

    def __str__(self) -> str:
        return self.reason
