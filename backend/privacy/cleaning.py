"""What follows an erasure: everything that was kept of the person, step by step, until nothing but the books is left.

Each step may run again without harm, and is noted when it is done; a job that dies is taken up where it was. The
former address and names are known from the erasure's traces alone, which the last step empties.
"""

from __future__ import annotations

import email.policy
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.files.storage import default_storage, storages
from django.db import connection, transaction
from django.db.models import AutoField, BigAutoField, F, Q
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.core import access, stored
from backend.core.db import lock, outside_transaction
from backend.core.errors import Invalid, Unavailable, WrongState
from backend.listings import photos
from backend.listings.models import Listing, Photo
from backend.messaging import forgetting as messages
from backend.notifications.composing import mail
from backend.notifications.rendering import supported
from backend.payments.models import MoneyOp, MpesaRequest, PayoutAccount, ProviderEvent
from backend.payments.providers import registry
from backend.payments.providers.base import OpensAccounts
from backend.privacy.erasure import pseudonym
from backend.privacy.models import Erasure
from backend.privacy.registry import PERSONAL, Fate

AT_ONCE = 1000
"""Rows that are deleted in one transaction."""

LEFT_TO_ITS_JOB = timedelta(minutes=15)
"""How long an erasure is left to its own job before a sweep takes it up."""

log = structlog.get_logger(__name__)


class NotClosed(Exception):
    """A provider keeps a host's account, as long as money lies on it; it is asked again."""


@dataclass(frozen=True, slots=True)
class Work:
    """Whose data is to go, and what must be known for it."""

    user_id: int
    traces: dict[str, Any]
    now: datetime

    @property
    def emails(self) -> list[str]:
        """Every address that the account had, in lower case."""
        return [address.lower() for address in self.traces.get("emails", [])]


def clean(erasure_id: int, *, now: datetime) -> bool:
    """Do what is left of an erasure; False when nothing was left. Never inside a transaction.

    Raises: whatever a storage or a mail server raises; what was done until then stays done.
    """
    outside_transaction("storage and mail")
    erasure = Erasure.objects.get(pk=erasure_id)
    if erasure.finished_at is not None:
        return False
    work = Work(erasure.user_id, erasure.traces, now)
    for name, step in STEPS:
        if name in erasure.steps:
            continue
        try:
            step(work)
        except Exception as error:
            Erasure.objects.filter(pk=erasure_id).update(failure=f"{name}: {type(error).__name__}"[:120])
            raise
        erasure.steps = _note(erasure_id, name)
    with transaction.atomic():
        held = lock(Erasure.objects.all(), pk=erasure_id)
        held.traces, held.failure, held.finished_at = {}, "", held.finished_at or now
        held.save(update_fields=["traces", "failure", "finished_at"])
    return True


def resume(*, now: datetime, older_than: timedelta = timedelta(0), only: int | None = None) -> dict[str, int]:
    """Do what is left of every erasure (or of ``only`` one) that was asked for that long ago.

    One that fails does not keep the others waiting.
    """
    counts = {"finished": 0, "left": 0}
    waiting = Erasure.objects.filter(finished_at=None, asked_at__lte=now - older_than).order_by("asked_at")
    if only is not None:
        waiting = waiting.filter(pk=only)
    for erasure_id in list(waiting.values_list("pk", flat=True)):
        try:
            clean(erasure_id, now=now)
        except (
            Exception
        ) as error:  # storages and mail servers have errors of their own; it is noted in the row
            log.warning("privacy.not_cleaned", erasure=erasure_id, error=type(error).__name__)
            counts["left"] += 1
        else:
            counts["finished"] += 1
    return counts


@access.rule("privacy.go_on")
def _may_go_on(actor: Any, erasure: Erasure) -> bool:
    """Administrators."""
    return bool(actor.has_role(ADMIN))


def go_on(*, actor: Any, erasure: Erasure, reason: str, now: datetime) -> None:
    """Take an erasure up that has stopped, by hand. Never inside a transaction.

    Raises: NotAllowed, Invalid (no reason), WrongState (it is finished), Unavailable (it stops again; the row says where).
    """
    access.require(actor, "privacy.go_on", erasure)
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if erasure.finished_at is not None:
        raise WrongState(_("This erasure is finished."))
    audit.record(
        actor=actor, action="erasure.taken_up", subject=erasure, now=now, reason=reason.strip()[:500]
    )
    if resume(now=now, only=erasure.pk)["left"]:
        raise Unavailable(_("It has stopped again. The page says where."))


def _note(erasure_id: int, step: str) -> list[str]:
    with transaction.atomic():
        held = lock(Erasure.objects.all(), pk=erasure_id)
        if step not in held.steps:
            held.steps = [*held.steps, step]
            held.save(update_fields=["steps"])
        return list(held.steps)


def _files(work: Work) -> None:
    """Photos of the person and of their listings, and what they handed in to prove who they are; in backups, too."""
    with stored.for_good():
        for name in work.traces.get("files", []):
            default_storage.delete(name)
        for name in work.traces.get("private_files", []):
            storages["private"].delete(name)
        for photo in Photo.objects.filter(listing__host=work.user_id).order_by("pk"):
            photos.delete_files(photos.names_of(photo))
            photo.delete()
        messages.files_of(work.user_id)


def _rows(work: Work) -> None:
    """Every row and field that the registry names, by its owner."""
    for each in PERSONAL:
        if each.model in ("privacy.Erasure", "audit.AuditEntry"):
            continue
        if each.fate is Fate.BLANKED:
            each.rows(work.user_id).exclude(**each.blanks()).update(**each.blanks())
        elif each.fate is Fate.DELETED:
            _delete(each.rows(work.user_id))
    Listing.objects.filter(host=work.user_id).update(location=F("city"))


def _delete(rows: Any) -> None:
    if not isinstance(rows.model._meta.pk, (AutoField, BigAutoField)):
        rows.delete()
        return
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        rows.model._default_manager.filter(pk__in=ids).delete()


_TOLD = """
    UPDATE notifications n
    SET params = (n.params || CASE WHEN n.params ? %(role)s THEN jsonb_build_object(%(role)s::text, %(name)s::text)
                                   ELSE '{{}}' END
                           || CASE WHEN n.params ? 'message' THEN '{{"message": ""}}'::jsonb ELSE '{{}}' END) - 'reason'
    FROM {source}
    WHERE {match} AND n.data ->> %(key)s = about.id::text AND n.user_id <> %(user)s
"""
_PUSHED = """
    UPDATE live_events n
    SET data = jsonb_set(n.data, '{{params}}', (n.data -> 'params'
        || CASE WHEN n.data -> 'params' ? %(role)s THEN jsonb_build_object(%(role)s::text, %(name)s::text) ELSE '{{}}' END
        || CASE WHEN n.data -> 'params' ? 'message' THEN '{{"message": ""}}'::jsonb ELSE '{{}}' END) - 'reason')
    FROM {source}
    WHERE {match} AND n.type = 'notification' AND n.data -> 'data' ->> %(key)s = about.id::text AND n.user_id <> %(user)s
"""
_ABOUT = (
    ("bookings about", "about.guest_id = %(user)s", "booking_id", "guest"),
    ("bookings about", "about.host_id = %(user)s", "booking_id", "host"),
    ("inquiries about", "about.guest_id = %(user)s", "inquiry_id", "guest"),
    ("inquiries about", "about.host_id = %(user)s", "inquiry_id", "host"),
    ("properties about", "about.host_id = %(user)s", "property_id", "host"),
)
"""Source, whose it is, by which id notices name it, under which name their texts call the person."""


def _notices(work: Work) -> None:
    """What others were told of the person: their name in it, and words of theirs."""
    for source, match, key, role in _ABOUT:
        values: dict[str, Any] = {"user": work.user_id, "key": key, "role": role}
        values["name"] = pseudonym(work.user_id)
        for statement in (_TOLD, _PUSHED):
            with transaction.atomic(), connection.cursor() as cursor:
                # No index leads from a stay to its notices; this reads them all, in the background.
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute(statement.format(source=source, match=match), values)
    messages.traces_of(work.user_id, name=pseudonym(work.user_id))


def _queue(work: Work) -> None:
    """Jobs that name an address of the person, done or not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE status <> 'doing'"
            " AND (lower(args ->> 'email') = ANY(%(emails)s) OR lower(args ->> 'former') = ANY(%(emails)s))",
            {"emails": work.emails},
        )


def _mail(work: Work) -> None:
    """Mails and short messages that lie in the state folder, where there is no real carrier."""
    for path in _written(settings.MAIL_DIR, "*.eml"):
        with suppress(FileNotFoundError), path.open("rb") as file:
            headers = BytesHeaderParser(policy=email.policy.default).parse(file)
            receivers = getaddresses([str(value) for value in headers.get_all("To", [])])
            if any(address.lower() in work.emails for _display, address in receivers):
                path.unlink(missing_ok=True)
    phone = work.traces.get("phone")
    for path in _written(settings.SMS_DIR, "*.txt") if phone else ():
        with suppress(FileNotFoundError):
            if path.read_text("utf-8").startswith(f"To: {phone}\n"):
                path.unlink(missing_ok=True)


def _written(folder: Path, pattern: str) -> Iterator[Path]:
    return iter(sorted(folder.glob(pattern))) if folder.is_dir() else iter(())


def _money(work: Work) -> None:
    """What providers told us beside the amounts, and the phones that M-Pesa was asked to prompt or to pay."""
    theirs = Q(payment__folio__guest=work.user_id) | Q(payout__receiver=work.user_id)
    ops = MoneyOp.objects.filter(theirs)
    keys = [str(pk) for pk in ops.values_list("pk", flat=True)]
    references = ops.exclude(provider_ref="").values_list("provider_ref", flat=True)
    accounts = PayoutAccount.objects.filter(user=work.user_id).exclude(provider_ref="")
    MpesaRequest.objects.filter(key__in=keys).exclude(phone="").update(phone="")
    told = (
        Q(op_key__in=keys)
        | Q(object_ref__in=list(references))
        | Q(account__in=list(accounts.values_list("provider_ref", flat=True)))
    )
    ProviderEvent.objects.filter(told).exclude(applied_at=None).exclude(payload={}).update(payload={})


def _providers(work: Work) -> None:
    """What providers keep of a host for us: their accounts there. One that is not configured any more cannot be asked.

    Raises: ProviderUnavailable, NotClosed.
    """
    for account in PayoutAccount.objects.filter(user=work.user_id).exclude(provider_ref=""):
        adapter = registry.configured().get(account.provider)
        if isinstance(adapter, OpensAccounts) and not adapter.close_account(account.provider_ref):
            raise NotClosed(f"{account.provider} keeps the account {account.pk}")


def _addresses(work: Work) -> None:
    """From where the person acted. The log's chain does not depend on it."""
    audit.forget_addresses(user_id=work.user_id)


def _letter(work: Work) -> None:
    """Tell the person, at the address that they had, that it is done. The last that is written to them."""
    if not work.traces.get("email"):
        return
    language = supported(work.traces.get("language", ""))
    with override(language):
        title = gettext("Your account was erased")
        body = gettext(
            "Your account and what we knew of you are erased. Invoices and our books stay as long as the law demands"
            " it; they name you by a number. This is our last letter to you."
        )
    mail(
        to=work.traces["email"],
        name=" ".join(work.traces.get("names", [])) or work.traces.get("username", ""),
        language=language,
        title=title,
        body=body,
        message_id=f"erased-{work.user_id}",
    ).send()


STEPS: tuple[tuple[str, Callable[[Work], None]], ...] = (
    ("files", _files),
    ("rows", _rows),
    ("notices", _notices),
    ("queue", _queue),
    ("mail", _mail),
    ("money", _money),
    ("addresses", _addresses),
    ("providers", _providers),
    ("letter", _letter),
)
