"""Identity documents: a person hands in a picture of one, staff look at it and decide, and the picture is deleted.

A picture lies in the private storage under a random name, is written anew from its pixels, and goes by a job that
stands in the transaction of the decision. The mark on a profile says that the name there was the document's: another
name takes it away, and closes a check that waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import IO, Any

from django.core.files.storage import storages
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR, IdentityCheck, Profile, User
from backend.audit import services as audit
from backend.core import access, images, limits, platform
from backend.core.access import SYSTEM
from backend.core.db import constraint_errors, lock, outside_transaction
from backend.core.errors import Conflict, Invalid, NotFound, WrongState
from backend.notifications import services as notifications

SIDE = 2400
"""The longer side of a kept picture, in pixels: small print stays readable."""

A_DAY = 5
"""How many documents one person may hand in within a day."""

MAX_REASON = 500

REMOVE_JOB = "identity.remove_pictures"

Status = IdentityCheck.Status


class CheckWaiting(Conflict):
    """One document of this person is being looked at already."""

    code = "identity_check_waiting"
    title = _("Our team is looking at your document already.")


class AlreadyVerified(Conflict):
    """The identity of this person is verified."""

    code = "identity_verified"
    title = _("Your identity is verified already.")


@access.rule("identity_check.hand_in")
def _may_hand_in(actor: User, user: User) -> bool:
    """Everybody for themselves."""
    return actor.pk == user.pk


@access.rule("identity_check.see")
def _may_see(actor: User, check: IdentityCheck) -> bool:
    """Moderators and administrators look at documents, never at their own."""
    return actor.has_role(MODERATOR, ADMIN) and actor.pk != check.user_id


@access.rule("identity_check.decide")
def _may_decide(actor: User, check: IdentityCheck) -> bool:
    """As for looking at it."""
    return _may_see(actor, check)


def hand_in(*, actor: User, document: str, picture: IO[bytes], now: datetime) -> IdentityCheck:
    """Take in a picture of the actor's identity document (``IdentityCheck.Document``) for staff to look at.

    Call it outside of transactions. Raises: Throttled over 5 a day, AlreadyVerified, CheckWaiting, Invalid (an unknown
    document; what ``images.reencode`` refuses, on ``picture``).
    """
    access.require(actor, "identity_check.hand_in", actor)
    platform.require("identity_checks")
    if document not in IdentityCheck.Document:
        raise Invalid.field("kind", "unknown_document", _("There is no such kind of document."))
    outside_transaction("storage")
    _require_room(actor)
    limits.hit(f"identity_checks:{actor.pk}", limit=A_DAY, window_s=86_400)
    image = images.reencode(picture, max_side=SIDE, field="picture")
    ending = str(image.content.name).rpartition(".")[2]
    name = storages["private"].save(f"identity/{uuid.uuid4().hex}.{ending}", image.content)
    try:
        return _hand_in(actor, document, name, now)
    except BaseException:
        storages["private"].delete(name)
        raise


@transaction.atomic
def _hand_in(actor: User, document: str, name: str, now: datetime) -> IdentityCheck:
    lock(User.objects.all(), pk=actor.pk)
    _require_room(actor)
    with constraint_errors({"identity_checks_one_waiting": CheckWaiting}):
        check = IdentityCheck.objects.create(user=actor, document=document, picture=name, created_at=now)
    audit.record(
        actor=actor, action="identity_check.hand_in", subject=check, now=now, after={"document": document}
    )
    return check


def _require_room(user: User) -> None:
    if Profile.objects.filter(pk=user.pk, identity_verified_at__isnull=False).exists():
        raise AlreadyVerified
    if IdentityCheck.objects.filter(user=user, status=Status.WAITING).exists():
        raise CheckWaiting


def look(*, actor: Any, check_id: int, now: datetime) -> tuple[str, bytes]:
    """The file name and content of the picture of a check, for staff to look at; that they did stands in the audit log.

    Raises: NotFound (also once it is decided: the picture is gone), NotAllowed.
    """
    check = IdentityCheck.objects.filter(pk=check_id).first()
    if check is None:
        raise NotFound
    access.require(actor, "identity_check.see", check)
    if not check.picture:
        raise NotFound
    with transaction.atomic():
        audit.record(actor=actor, action="identity_check.look", subject=check, now=now)
    try:
        with storages["private"].open(str(check.picture)) as opened:
            return str(check.picture), opened.read()
    except FileNotFoundError:
        # Decided in the meantime.
        raise NotFound from None


def approve(*, actor: Any, check_id: int, now: datetime, reason: str = "") -> IdentityCheck:
    """Say that the document is the person's: their profile gets the mark, they are told, the picture goes.

    ``reason`` is for the audit log alone.

    Raises: NotFound, NotAllowed, WrongState when it is decided already.
    """
    return _decide(actor, check_id, Status.APPROVED, reason.strip()[:MAX_REASON], now)


def refuse(*, actor: Any, check_id: int, reason: str, now: datetime) -> IdentityCheck:
    """Say no, and why: the person is told, the picture goes, another one may be handed in.

    Raises: NotFound, NotAllowed, WrongState when it is decided already, Invalid without a reason.
    """
    why = reason.strip()
    if not why:
        raise Invalid.field("reason", "required", _("Say why."))
    if len(why) > MAX_REASON:
        raise Invalid.field("reason", "too_long", _("At most 500 characters."))
    return _decide(actor, check_id, Status.REFUSED, why, now)


@transaction.atomic
def _decide(actor: Any, check_id: int, status: Status, reason: str, now: datetime) -> IdentityCheck:
    found = IdentityCheck.objects.filter(pk=check_id).first()
    if found is None:
        raise NotFound
    access.require(actor, "identity_check.decide", found)
    # The person's row first, as a change of their name does.
    user = lock(User.objects.all(), pk=found.user_id)
    check = lock(IdentityCheck.objects.all(), pk=check_id)
    if check.status != Status.WAITING:
        raise WrongState(extra={"state": str(check.status)})
    check.user = user
    _close(check, status=status, actor=actor, reason=reason, now=now)
    if status == Status.APPROVED:
        Profile.objects.filter(pk=user.pk).update(identity_verified_at=now)
    return check


def name_changed(user: User, *, actor: Any, now: datetime) -> None:
    """Take the mark from ``user``, whose name is another one now, and close the check that waits for the former name.

    Inside the transaction of the change; the user's row is held.
    """
    marked = Profile.objects.filter(pk=user.pk, identity_verified_at__isnull=False)
    since = marked.values_list("identity_verified_at", flat=True).first()
    if since is not None:
        marked.update(identity_verified_at=None)
        before = {"identity_verified_at": since.isoformat()}
        audit.record(actor=actor, action="identity.unverified", subject=user, now=now, before=before)
    waiting = IdentityCheck.objects.select_for_update(no_key=True).filter(user=user, status=Status.WAITING)
    for check in waiting:
        check.user = user
        reason = str(_("The name was changed."))
        _close(check, status=Status.REFUSED, actor=SYSTEM, reason=reason, now=now)


def _close(check: IdentityCheck, *, status: Status, actor: Any, reason: str, now: datetime) -> None:
    """Write the decision on a locked check, have its picture deleted, and tell the person."""
    name = str(check.picture)
    told = reason if status == Status.REFUSED else ""
    check.status, check.reason, check.picture = status, told, ""
    check.decided_at, check.decided_by_id = now, actor.pk
    check.save(update_fields=["status", "reason", "picture", "decided_at", "decided_by"])
    _remove_later([name])
    audit.record(
        actor=actor,
        action=f"identity_check.{'approve' if status == Status.APPROVED else 'refuse'}",
        subject=check,
        now=now,
        before={"status": str(Status.WAITING)},
        after={"status": str(status), "user": check.user_id},
        reason=reason,
    )
    notifications.notify(
        user=check.user,
        kind="identity.verified" if status == Status.APPROVED else "identity.refused",
        object_key=f"identity_check:{check.pk}",
        now=now,
        params={"reason": told} if told else {},
        data={"identity_check_id": check.pk},
        url="/profile/identity",
    )


def _remove_later(names: Collection[str]) -> None:
    from backend.identity.tasks import remove_pictures

    remove_pictures.defer(names=[name for name in names if name])


def remove_pictures(names: Collection[str]) -> None:
    """Delete pictures from the private storage; one that is gone is fine. Raises: what the storage raises."""
    outside_transaction("storage")
    for name in names:
        storages["private"].delete(name)
