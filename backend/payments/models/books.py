"""The books."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.payments.models.folio import Folio
from backend.payments.models.movement import MoneyOp


class LedgerTransaction(models.Model):
    """A set of entries that sums to zero per currency, with its cause."""

    cause = models.CharField(_("cause"), max_length=40)
    folio = models.ForeignKey(
        Folio, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("folio")
    )
    money_op = models.ForeignKey(
        MoneyOp, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("money operation")
    )
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "ledger_transactions"
        ordering = ["-id"]
        verbose_name = _("ledger transaction")
        verbose_name_plural = _("ledger transactions")
        indexes = [models.Index(fields=["at"], name="ledger_transactions_at")]
        constraints = [
            models.UniqueConstraint(
                fields=["money_op"], condition=~Q(money_op=None), name="ledger_once_per_op"
            ),
            models.UniqueConstraint(
                fields=["folio"], condition=Q(cause="stay.completed"), name="ledger_stay_earned_once"
            ),
            models.UniqueConstraint(
                fields=["folio", "cause"],
                condition=Q(cause__in=["stay.canceled", "host.penalty", "host.penalty_waived"]),
                name="ledger_end_of_stay_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause} #{self.pk}"


class LedgerEntry(models.Model):
    """One side of a movement: positive is debit, negative is credit. Never changed, never deleted.

    ``folio`` is the stay that the entry is about, which may differ within one transaction (a debt of one stay is
    taken from the payout of another); ``holder`` is whose money it is, where it is a host's.
    """

    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="entries", verbose_name=_("transaction")
    )
    account = models.CharField(_("account"), max_length=40)
    currency = models.CharField(_("currency"), max_length=3)
    amount_minor = models.BigIntegerField(_("amount"))
    folio = models.ForeignKey(
        Folio, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("folio")
    )
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("holder"),
    )

    class Meta:
        db_table = "ledger_entries"
        ordering = ["transaction", "id"]
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        indexes = [
            models.Index(fields=["account", "currency"], name="ledger_entries_account"),
            models.Index(
                fields=["holder", "currency", "folio"],
                condition=~Q(holder=None),
                name="ledger_entries_holder",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="ledger_entries_not_zero"),
            models.CheckConstraint(
                condition=~Q(account="host_payable") | Q(holder__isnull=False, folio__isnull=False),
                name="ledger_entries_payable_to_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_minor} {self.currency}"


class LedgerClosing(models.Model):
    """How far the books are summed up: every entry up to ``through`` (an entry's id) stands in ``LedgerBalance``.

    One that is not ``is_done`` waits until all transactions that were under way at ``seen_by`` (the database's number of
    a transaction) have ended, since one of them may still write an entry with a lower id.
    """

    through = models.BigIntegerField(_("through entry"))
    seen_by = models.BigIntegerField(_("seen by transaction"))
    is_done = models.BooleanField(_("done"), default=False)
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "ledger_closings"
        ordering = ["-id"]
        verbose_name = _("closing of the books")
        verbose_name_plural = _("closings of the books")

    def __str__(self) -> str:
        return f"#{self.through}"


class LedgerBalance(models.Model):
    """What an account comes to in a currency, of all entries up to the last closing; ``last_entry`` is the newest of them."""

    account = models.CharField(_("account"), max_length=40)
    currency = models.CharField(_("currency"), max_length=3)
    amount_minor = models.BigIntegerField(_("amount"))
    last_entry = models.BigIntegerField(_("last entry"))

    class Meta:
        db_table = "ledger_balances"
        ordering = ["account", "currency"]
        verbose_name = _("balance of an account")
        verbose_name_plural = _("balances of accounts")
        constraints = [models.UniqueConstraint(fields=["account", "currency"], name="ledger_balances_once")]

    def __str__(self) -> str:
        return f"{self.account} {self.currency}"
