"""The tables of people: users, their profiles, their signed-in devices. Operations on them live in ``identity``."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, Group, PermissionsMixin
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.core.files.storage import Storage, storages
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Concat, Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField, blind_index

GUEST, HOST = "guest", "host"
SUPPORT, MODERATOR, FINANCE, ADMIN = "support", "moderator", "finance", "admin"
STAFF_ROLES = (SUPPORT, MODERATOR, FINANCE, ADMIN)
ROLES = (GUEST, HOST, *STAFF_ROLES)


FULL_NAME = Lower(Concat("first_name", models.Value(" "), "last_name", output_field=models.CharField()))
"""The name by which staff look for a person; the index and those who ask must write it alike."""


def private() -> Storage:
    """Where files lie that only our own code hands out."""
    return storages["private"]


class UserManager(DjangoUserManager["User"]):
    """Users are found by name or email without regard to case, and never without a profile."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.called(username or "").get()

    def called(self, username: str) -> models.QuerySet[User]:
        """Whoever has this name in any case; none or one."""
        return self.filter(Exact(Lower("username"), username.lower()))

    def at(self, email: str) -> models.QuerySet[User]:
        """Whoever has this email address in any case; none or one."""
        return self.filter(Exact(Lower("email"), email.lower()))

    def _create_user(
        self, username: str, email: str | None, password: str | None, **extra_fields: Any
    ) -> User:
        """What ``create_user`` and ``createsuperuser`` end in: the user, its profile and, for a superuser, the role."""
        user = self.model(username=username, email=(email or "").lower(), **extra_fields)
        user.set_password(password)
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
            Profile.objects.using(self._db).create(user=user)
            if user.is_superuser:
                user.groups.add(Group.objects.using(self._db).get(name=ADMIN))
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody with an account. Roles are groups of the same name; suspended and erased people stay as rows."""

    username = models.CharField(
        _("username"),
        max_length=60,
        validators=[RegexValidator(r"^[A-Za-z0-9_]+\Z", _("Letters, digits and _ only."))],
    )
    email = models.EmailField(_("email"), max_length=254)
    first_name = models.CharField(_("first name"), max_length=80, blank=True)
    last_name = models.CharField(_("last name"), max_length=80, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May sign in to the back office."))
    suspended_at = models.DateTimeField(_("suspended at"), null=True, blank=True)
    suspended_reason = models.CharField(_("reason of the suspension"), max_length=500, blank=True)
    erased_at = models.DateTimeField(
        _("erased at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The row stays for the books, nameless."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    event_seq = models.BigIntegerField(default=0, editable=False)

    session_id: uuid.UUID | None = None
    """The session that the caller is signed in with; the session check sets it."""

    scopes: frozenset[str] | None = None
    """What a program may do that calls with a key of the user; None for the user in person."""

    objects = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(Lower("username"), name="users_username_taken"),
            models.UniqueConstraint(Lower("email"), name="users_email_taken"),
        ]
        indexes = [
            models.Index(OpClass(Lower("username"), "text_pattern_ops"), name="users_username_begins"),
            models.Index(OpClass(Lower("email"), "text_pattern_ops"), name="users_email_begins"),
            models.Index(OpClass(FULL_NAME, "text_pattern_ops"), name="users_full_name_begins"),
            models.Index(fields=["id"], condition=~models.Q(suspended_at=None), name="users_suspended"),
            models.Index(fields=["id"], condition=models.Q(is_active=False), name="users_closed"),
        ]

    def __str__(self) -> str:
        return self.username

    def get_full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.username

    def get_short_name(self) -> str:
        return self.first_name or self.username

    @cached_property
    def roles(self) -> frozenset[str]:
        """The names of the user's groups. The session check fills it from its own query."""
        return frozenset(self.groups.values_list("name", flat=True))

    @cached_property
    def language(self) -> str:
        """The language that the user has chosen, "" when none. The session check fills it from its own query."""
        return self.profile.language

    def has_role(self, *roles: str) -> bool:
        """Whether the user has one of the roles; a superuser counts as ``admin``."""
        return not self.roles.isdisjoint(roles) or (self.is_superuser and ADMIN in roles)


class Profile(models.Model):
    """What a person says of themselves, and how they want to be served."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="profile")
    phone = SealedTextField(_("phone"), max_length=20, blank=True, index="phone")
    phone_verified_at = models.DateTimeField(_("phone verified at"), null=True, blank=True)
    bio = models.TextField(_("about"), max_length=2000, blank=True)
    languages = ArrayField(
        models.CharField(max_length=8), default=list, blank=True, verbose_name=_("languages")
    )
    photo = models.ImageField(_("photo"), upload_to="people/", blank=True)
    identity_verified_at = models.DateTimeField(_("identity verified at"), null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    notification_preferences = models.JSONField(_("notifications"), default=dict, blank=True)
    is_superhost = models.BooleanField(_("superhost"), default=False)
    response_rate = models.PositiveSmallIntegerField(_("response rate (%)"), null=True, blank=True)
    response_time_hours = models.PositiveSmallIntegerField(_("response time (hours)"), null=True, blank=True)

    class Meta:
        db_table = "profiles"
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        indexes = [blind_index("phone", name="profiles_phone")]

    def __str__(self) -> str:
        return f"{self.user}"


class Session(models.Model):
    """A signed-in device. Access tokens carry its id and die with it.

    ``confirmed_at``: when its user last proved again who they are, since they signed in.

    Refresh tokens are not kept: token number n is made of ``refresh_secret`` and n under a key that the database
    does not know (``identity.tokens``). ``refresh_number`` is the newest one that was given out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions", verbose_name=_("user"))
    device = models.CharField(_("device"), max_length=300, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    created_at = models.DateTimeField(_("signed in at"))
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"))
    expires_at = models.DateTimeField(_("expires at"))
    refresh_secret = models.BinaryField(max_length=32, editable=False)
    refresh_number = models.PositiveIntegerField(default=0, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    revoked_reason = models.CharField(_("ended because"), max_length=40, blank=True)

    class Meta:
        db_table = "sessions"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [
            models.Index(fields=["user"], condition=models.Q(revoked_at=None), name="sessions_living"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.device}"


class ApiKey(models.Model):
    """A key by which a program acts for its user, as far as its scopes go. Only the key's hash is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("begins with"), max_length=12)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=30), verbose_name=_("scopes"))
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "api_keys"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        indexes = [models.Index(fields=["user"], condition=models.Q(revoked_at=None), name="api_keys_living")]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class IdentityCheck(models.Model):
    """A person's identity document on its way past the staff. The picture goes when they have decided."""

    class Document(models.TextChoices):
        PASSPORT = "passport", _("passport")
        IDENTITY_CARD = "identity_card", _("identity card")
        DRIVING_LICENCE = "driving_licence", _("driving licence")

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPROVED = "approved", _("approved")
        REFUSED = "refused", _("refused")

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="identity_checks", verbose_name=_("user")
    )
    document = models.CharField(_("document"), max_length=20, choices=Document.choices)
    picture = models.FileField(_("picture"), upload_to="identity/", storage=private, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField(_("handed in at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("decided by")
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        db_table = "identity_checks"
        verbose_name = _("identity check")
        verbose_name_plural = _("identity checks")
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(status="waiting"), name="identity_checks_one_waiting"
            ),
            models.CheckConstraint(
                condition=models.Q(status="waiting", decided_at=None)
                | models.Q(~models.Q(status="waiting"), decided_at__isnull=False, picture=""),
                name="identity_checks_decided_without_picture",
            ),
        ]
        indexes = [models.Index(fields=["status", "created_at"], name="identity_checks_waiting")]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_document_display()}"


class HostStanding(models.Model):
    """How a host did in the 365 days before a quarter began, and what followed from it. Written once a quarter."""

    host = models.ForeignKey(User, on_delete=models.CASCADE, related_name="standings", verbose_name=_("host"))
    quarter = models.DateField(_("quarter"), help_text=_("Its first day."))
    stays = models.PositiveIntegerField(_("stays"))
    nights = models.PositiveIntegerField(_("nights"))
    response_rate = models.DecimalField(
        _("response rate (%)"), max_digits=5, decimal_places=2, null=True, help_text=_("Empty: nobody asked.")
    )
    cancellation_rate = models.DecimalField(_("cancellation rate (%)"), max_digits=5, decimal_places=2)
    rating = models.DecimalField(
        _("rating"), max_digits=3, decimal_places=2, null=True, help_text=_("Empty: nobody reviewed.")
    )
    is_superhost = models.BooleanField(_("superhost"))
    computed_at = models.DateTimeField(_("computed at"))

    class Meta:
        db_table = "host_standings"
        ordering = ["-quarter"]
        verbose_name = _("host standing")
        verbose_name_plural = _("host standings")
        constraints = [models.UniqueConstraint(fields=["host", "quarter"], name="host_standings_once")]

    def __str__(self) -> str:
        return f"{self.host} · {self.quarter}"


class PhoneCode(models.Model):
    """The newest code that was sent to a user's phone. Only its hash is kept; the next code replaces it."""

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="phone_code", verbose_name=_("user")
    )
    phone = SealedTextField(_("phone"), max_length=20)
    digest = models.BinaryField(max_length=32, editable=False)
    tries = models.PositiveSmallIntegerField(_("wrong tries"), default=0)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        db_table = "phone_codes"
        verbose_name = _("phone code")
        verbose_name_plural = _("phone codes")

    def __str__(self) -> str:
        return f"{self.user_id}"


class TotpEnrolment(models.Model):
    """A second step that is being set up: the secret that the user's app must prove to know."""

    user = models.OneToOneField(
        User,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="totp_enrolment",
        verbose_name=_("user"),
    )
    secret = SealedTextField(_("secret"))
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        db_table = "totp_enrolments"
        verbose_name = _("enrolment of a second step")
        verbose_name_plural = _("enrolments of second steps")

    def __str__(self) -> str:
        return f"{self.user_id}"
