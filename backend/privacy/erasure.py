"""Erasing an account: what happens at once, in one transaction, after which nobody meets the person any more.

The row of the user stays, nameless, because the books name it by number. What takes longer (files, mails, what was
told to others) is left to a job; see ``cleaning``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import ADMIN, STAFF_ROLES, IdentityCheck, Profile, User
from backend.audit import services as audit
from backend.availability import feed_nights
from backend.availability.models import CalendarFeed, CalendarSubscriber, FeedEvent
from backend.bookings import inquiries
from backend.core import access
from backend.core.access import SYSTEM
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound
from backend.identity import credentials, mfa, sessions
from backend.identity.sessions import Device
from backend.listings import cohosts
from backend.listings import services as listings
from backend.listings.models import CoHost, Listing, ListingGrant, ListingStatus
from backend.messaging import forgetting as messages
from backend.notifications.models import Delivery, SocketTicket
from backend.payments.models import PayoutAccount, PayoutSplit
from backend.privacy import obstacles
from backend.privacy.models import Erasure

ERASED = "erased"
"""Why the sessions of somebody who was erased ended."""

CLEAN_JOB = "privacy.clean"
"""The job that does the rest; it stands in ``privacy.tasks``."""

MAX_REASON = 500

_NAMES = ("username", "email", "first_name", "last_name")


class StaffAccount(Conflict):
    """Colleagues are let go before they are forgotten."""

    code = "staff_account"
    title = _("This account has a role in the team. Somebody must take it away first.")


@access.rule("privacy.erase")
def _may_erase(actor: Any, user: User) -> bool:
    """Everybody themselves, and administrators somebody who has asked for it."""
    return bool(actor.pk == user.pk or actor.has_role(ADMIN))


def pseudonym(user_id: int) -> str:
    """What the books show in place of a name."""
    return f"Erased user {user_id}"


def handle(user_id: int) -> str:
    """What stands in place of username and email: nobody can register it, since it is neither."""
    return f"erased-{user_id}"


def erase(
    *,
    actor: Any,
    user: User,
    now: datetime,
    device: Device | None = None,
    password: str = "",
    code: str = "",
    reason: str = "",
) -> Erasure:
    """Erase the account of ``user`` for good.

    Its owner proves who they are: with ``password``, or where the account has none with a recent sign-in; and with
    a ``code`` where the second step is on. An administrator says why in ``reason``. At once nobody can sign in, open
    sockets close, listings are withdrawn, and name, email and phone are gone; the rest is done by a job.

    Raises: NotAllowed, NotFound (erased already), Invalid (``wrong_password`` on ``password``, ``required`` or
    ``invalid_code`` on ``code``, ``required`` on ``reason``), StepUpRequired, Throttled, StaffAccount, ErasureRefused.
    """
    access.require(actor, "privacy.erase", user)
    if actor.pk == user.pk:
        _prove(user, actor, password, code, device or Device(None, ""), now)
    elif not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    return _erase(actor, user.pk, reason.strip()[:MAX_REASON], now)


def _prove(user: User, actor: User, password: str, code: str, device: Device, now: datetime) -> None:
    person = User.objects.get(pk=user.pk)
    if person.has_usable_password():
        credentials.require_password(actor=actor, password=password, device=device, now=now)
    else:
        sessions.require_recent(actor, now=now)
    if not mfa.is_on(person):
        return
    if not code:
        raise Invalid.field("code", "required", _("Your account needs a code of your app, too."))
    attempt = credentials.count_attempt(person, device, now)
    with transaction.atomic():
        if not mfa.is_right(lock(User.objects.all(), pk=user.pk), code, now=now):
            raise mfa.CodeWrong.field("code", mfa.CodeWrong.code, mfa.CodeWrong.title)
    attempt.give_back()


@retrying
def _erase(actor: Any, user_id: int, reason: str, now: datetime) -> Erasure:
    with transaction.atomic(durable=True):
        user = _hold(user_id)
        if user.erased_at is not None:
            raise NotFound
        if user.is_staff or user.is_superuser or user.has_role(*STAFF_ROLES):
            raise StaffAccount
        obstacles.require_none(user, now)
        erasure = Erasure.objects.create(
            user=user, asked_by_id=actor.pk, reason=reason, asked_at=now, traces=_traces(user)
        )
        # The name goes first: what others are told from here on does not hold it any more.
        _unname(user, now)
        _take_away_keys(user, now)
        _withdraw(user, now)
        _silence(user)
        audit.record(actor=actor, action="user.erased", subject=user, now=now, reason=reason)
        app.configure_task(CLEAN_JOB, queue="upkeep").defer(erasure_id=erasure.pk)
    return erasure


def _hold(user_id: int) -> User:
    """The account, with nothing new beginning in its name until the transaction ends. Raises: NotFound.

    Listings first, in the order of their ids, as everybody does; the lock on the user's row waits for all who have
    written something that names it and have not committed.
    """
    concerned = Q(host_id=user_id) | Q(pk__in=CoHost.objects.filter(user_id=user_id).values("listing"))
    list(Listing.objects.filter(concerned).select_for_update().order_by("pk").values_list("pk"))
    found = User.objects.filter(pk=user_id)
    for each in found:
        messages.hold_conversations(each)
    user = found.select_for_update().first()
    if user is None:
        raise NotFound
    return user


def _traces(user: User) -> dict[str, Any]:
    """What the job must know to find what is left: names, addresses, and files that no row will name any more."""
    profile = Profile.objects.get(pk=user.pk)
    checks = IdentityCheck.objects.filter(user=user).exclude(picture="").values_list("picture", flat=True)
    return {
        "username": user.username,
        "email": user.email,
        "emails": sorted(
            {user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)}
        ),
        "names": [name for name in (user.first_name, user.last_name) if name],
        "phone": profile.phone,
        "language": profile.language,
        "files": [str(profile.photo)] if profile.photo else [],
        "private_files": list(checks),
    }


def _unname(user: User, now: datetime) -> None:
    profile = Profile.objects.get(pk=user.pk)
    profile.phone, profile.phone_verified_at = "", None
    profile.bio, profile.languages, profile.photo = "", [], ""
    profile.notification_preferences = {}
    profile.save()
    user.username = user.email = handle(user.pk)
    user.first_name, user.last_name = pseudonym(user.pk), ""
    user.suspended_reason = ""
    user.set_unusable_password()
    user.is_active, user.erased_at = False, now
    user.save(update_fields=[*_NAMES, "suspended_reason", "password", "is_active", "erased_at"])


def _take_away_keys(user: User, now: datetime) -> None:
    """Whatever lets somebody in, or lets them act in another's place."""
    sessions.end_all_sessions(user=user, reason=ERASED, now=now)
    SocketTicket.objects.filter(user=user).delete()
    for each in (Authenticator, SocialAccount, EmailAddress, IdentityCheck):
        each.objects.filter(user=user).delete()
    user.groups.clear()
    user.user_permissions.clear()
    for row in CoHost.objects.filter(user=user).select_related("listing").order_by("listing"):
        if row.listing.status != ListingStatus.ARCHIVED:
            cohosts.end(actor=user, listing=row.listing, cohost_id=row.pk, now=now)
    CoHost.objects.filter(user=user).delete()
    ListingGrant.objects.filter(user=user).delete()


def _withdraw(user: User, now: datetime) -> None:
    """Take off what the person offers, and what they get of what others earn."""
    inquiries.end_all(user=user, now=now)
    messages.words_of(user)
    fed = set(CalendarFeed.objects.filter(listing__host=user).values_list("listing_id", flat=True))
    for listing in Listing.objects.filter(host=user).exclude(status=ListingStatus.ARCHIVED).order_by("pk"):
        for row in listing.cohosts.order_by("pk") if listing.has_cohosts else ():
            cohosts.end(actor=user, listing=listing, cohost_id=row.pk, now=now)
        if listing.pk in fed:
            events = FeedEvent.objects.filter(feed__listing=listing)
            feed_nights.let_go(listing=listing, events=events, now=now)
        listings.archive(actor=SYSTEM, listing=listing, now=now)
    CoHost.objects.filter(listing__host=user).delete()
    ListingGrant.objects.filter(content_object__host=user).delete()
    CalendarFeed.objects.filter(listing__host=user).delete()
    CalendarSubscriber.objects.filter(listing__host=user).delete()
    PayoutSplit.objects.filter(Q(user=user) | Q(listing__host=user)).delete()
    PayoutAccount.objects.filter(user=user).update(
        status=PayoutAccount.Status.DISABLED, is_default=False, destination="", shown="", updated_at=now
    )


def _silence(user: User) -> None:
    """Nothing more is written to the person: mails and messages that wait are canceled."""
    Delivery.objects.filter(notification__user=user, state=Delivery.QUEUED).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name LIKE 'identity.%%'"
            " AND args ->> 'user_id' = %s",
            [str(user.pk)],
        )
