"""Reference tables that everything stands on: currencies, exchange rates, the platform's settings, counters."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.declared import DECLARED
from backend.core.networks import NetworkField


class Currency(models.Model):
    """A currency that amounts may be shown in. ``minor_units`` is its number of decimals (ISO 4217)."""

    code = models.CharField(_("code"), max_length=3, primary_key=True)
    name = models.CharField(_("name"), max_length=80)
    minor_units = models.PositiveSmallIntegerField(_("minor units"))

    class Meta:
        db_table = "currencies"
        ordering = ["code"]
        verbose_name = _("currency")
        verbose_name_plural = _("currencies")

    def __str__(self) -> str:
        return self.code


class ExchangeRate(models.Model):
    """How much of ``currency`` one euro bought on a day, and who said so."""

    currency = models.ForeignKey(
        Currency, on_delete=models.PROTECT, related_name="rates", verbose_name=_("currency")
    )
    per_euro = models.DecimalField(_("units per euro"), max_digits=20, decimal_places=8)
    rate_on = models.DateField(_("date"))
    source = models.CharField(_("source"), max_length=80)

    class Meta:
        db_table = "exchange_rates"
        ordering = ["-rate_on", "currency"]
        verbose_name = _("exchange rate")
        verbose_name_plural = _("exchange rates")
        constraints = [
            models.UniqueConstraint(fields=["currency", "rate_on"], name="exchange_rates_one_a_day"),
            models.CheckConstraint(condition=models.Q(per_euro__gt=0), name="exchange_rates_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.currency_id} {self.per_euro} ({self.rate_on})"


class PlatformSetting(models.Model):
    """A platform setting that was ever changed. What there is to set stands in ``core.declared``, values in its versions.

    ``number`` counts its changes: whoever changes it says which one they saw, so that no change goes unseen.
    """

    key = models.CharField(_("key"), max_length=60, primary_key=True)
    number = models.PositiveIntegerField(_("changes"), default=0)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "platform_settings"
        ordering = ["key"]
        verbose_name = _("platform setting")
        verbose_name_plural = _("platform settings")

    def __str__(self) -> str:
        declared = DECLARED.get(self.key)
        return str(declared.title) if declared else self.key


class SettingVersion(models.Model):
    """A value of a setting from an instant on, written once. The latest that has begun and was not withdrawn holds.

    No value is the default. ``created_by_id`` is no foreign key: core stands below accounts. Empty: the command line.
    """

    setting = models.ForeignKey(
        PlatformSetting, on_delete=models.PROTECT, related_name="versions", verbose_name=_("platform setting")
    )
    number = models.PositiveIntegerField(_("change"))
    value = models.JSONField(_("value"), null=True)
    effective_from = models.DateTimeField(_("in force from"))
    created_at = models.DateTimeField(_("created at"))
    created_by_id = models.BigIntegerField(_("created by"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        db_table = "setting_versions"
        ordering = ["-number"]
        verbose_name = _("version of a setting")
        verbose_name_plural = _("versions of settings")
        constraints = [
            models.UniqueConstraint(fields=["setting", "number"], name="setting_versions_numbered"),
        ]
        indexes = [
            models.Index(fields=["setting", "effective_from", "number"], name="setting_versions_in_force"),
        ]

    def __str__(self) -> str:
        return f"{self.setting_id} #{self.number}"


class SettingWithdrawal(models.Model):
    """A planned version that will not come into force after all, written once and before its time."""

    version = models.OneToOneField(
        SettingVersion,
        on_delete=models.PROTECT,
        primary_key=True,
        related_name="withdrawal",
        verbose_name=_("version of a setting"),
    )
    created_at = models.DateTimeField(_("created at"))
    created_by_id = models.BigIntegerField(_("created by"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        db_table = "setting_withdrawals"
        verbose_name = _("withdrawn version of a setting")
        verbose_name_plural = _("withdrawn versions of settings")

    def __str__(self) -> str:
        return f"{self.version_id} withdrawn"


class TableVersion(models.Model):
    """What a table of reference data was last changed by: the number of that transaction, written by triggers within it."""

    name = models.CharField(max_length=63, primary_key=True)
    version = models.BigIntegerField()

    class Meta:
        db_table = "table_versions"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class RateCounter(models.Model):
    """The PostgreSQL stand-in for a rate counter while the shared cache is away."""

    key = models.CharField(max_length=200, primary_key=True)
    count = models.PositiveIntegerField()
    resets_at = models.DateTimeField()

    class Meta:
        db_table = "rate_counters"

    def __str__(self) -> str:
        return self.key


class ThrottledSubject(models.Model):
    """Who went over a limit lately: a policy, whom it counted, and in how many of its windows they did."""

    policy = models.CharField(_("limit"), max_length=60)
    subject = models.CharField(_("who"), max_length=200)
    windows = models.PositiveIntegerField(_("times"), default=1)
    first_at = models.DateTimeField(_("first at"))
    last_at = models.DateTimeField(_("last at"), db_index=True)

    class Meta:
        db_table = "throttled_subjects"
        verbose_name = _("stopped by a limit")
        verbose_name_plural = _("stopped by limits")
        constraints = [
            models.UniqueConstraint(fields=["policy", "subject"], name="throttled_subjects_once"),
        ]

    def __str__(self) -> str:
        return f"{self.policy}:{self.subject}"


class FirewallRule(models.Model):
    """A network that may, or may not, come in at a door.

    ``created_by_id`` is no foreign key: core stands below accounts. Empty: the command line.
    """

    class Door(models.TextChoices):
        API = "api", _("API and live events")
        ADMIN = "admin", _("back office")
        BOTH = "both", _("both")

    class Effect(models.TextChoices):
        BLOCK = "block", _("block")
        ALLOW = "allow", _("allow")

    network = NetworkField(_("network"))
    door = models.CharField(_("door"), max_length=5, choices=Door.choices)
    effect = models.CharField(_("effect"), max_length=5, choices=Effect.choices)
    note = models.CharField(_("note"), max_length=200, blank=True)
    is_active = models.BooleanField(_("switched on"), default=True)
    expires_at = models.DateTimeField(_("until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    created_by_id = models.BigIntegerField(_("created by"), null=True, blank=True)

    class Meta:
        db_table = "firewall_rules"
        verbose_name = _("firewall rule")
        verbose_name_plural = _("firewall rules")
        constraints = [
            models.UniqueConstraint(fields=["network", "door", "effect"], name="firewall_rules_once"),
            models.CheckConstraint(
                condition=models.Q(door__in=["api", "admin", "both"], effect__in=["block", "allow"]),
                name="firewall_rules_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_effect_display()} {self.network}"


class IdempotencyKey(models.Model):
    """A request that a user named with an Idempotency-Key, and its answer once there is one.

    ``user_id`` is no foreign key: core stands below accounts, and the rows live for days only.
    """

    pk = models.CompositePrimaryKey("user_id", "key")
    user_id = models.BigIntegerField()
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    claim = models.UUIDField()
    claimed_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    body = models.BinaryField(null=True)
    made = models.BigIntegerField(null=True)
    holder = models.IntegerField(null=True)
    """The number of the server process behind the connection of the request that is at it."""
    held_from = models.DateTimeField(null=True)
    """By the database's clock, so that a number that was given away since is told apart."""

    class Meta:
        db_table = "idempotency_keys"

    def __str__(self) -> str:
        return f"{self.user_id} · {self.key}"
