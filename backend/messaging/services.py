"""What people do in conversations: begin one, write, read, put it away; what staff hide, and what the system says."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR, User
from backend.audit import services as audit
from backend.core import access, platform
from backend.core.db import lock, prepared, retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, NotFound, WrongState
from backend.identity import budgets
from backend.listings.models import Listing
from backend.messaging import attaching, forgetting, masking, parties, posting, reading, storing
from backend.messaging.blocking import Blocked
from backend.messaging.models import BODY_LONGEST, Conversation, Message
from backend.messaging.parties import Held
from backend.notifications import services as notifications
from backend.notifications.rendering import instant
from backend.notifications.services import Event, Telling

CLIENT_ID_LONGEST = 100
MAX_REASON = 500


class OwnListing(NotAllowed):
    """Nobody writes to themselves about their own place."""

    code = "own_property"
    title = _("This is your own place.")


class Gone(Conflict):
    """The other side was erased: nobody would read it."""

    code = "user_erased"
    title = _("This person is no longer here.")


@access.rule("message.hide")
def may_hide(actor: Any, message: Message) -> bool:
    """Moderators and administrators, and never in a conversation of their own."""
    conversation = message.conversation
    is_party = actor.pk in (conversation.guest_id, conversation.host_id)
    return actor.has_role(MODERATOR, ADMIN) and not is_party


def open_conversation(*, guest: User, listing_id: int, now: datetime) -> tuple[Conversation, bool]:
    """The conversation of ``guest`` about a listing, and whether it was made now (it is empty then).

    One that exists goes on whatever became of the listing. A new one counts against the day's budget of
    conversations; call it outside of transactions.
    Raises: NotFound (a listing that the guest may not see), OwnListing, Throttled.
    """
    platform.require("messages")
    found = Conversation.objects.filter(listing_id=listing_id, guest=guest).first()
    if found is not None:
        return found, False
    listing = _listing_for(guest, listing_id)
    budgets.spend(budgets.CONVERSATIONS, guest, now=now)
    with transaction.atomic():
        return _opened(guest, listing, now)


def _listing_for(guest: User, listing_id: int) -> Listing:
    listing = Listing.objects.visible_to(guest).filter(pk=listing_id).first()
    if listing is None:
        raise NotFound
    if listing.host_id == guest.pk:
        raise OwnListing
    return listing


def _opened(guest: User, listing: Listing, now: datetime) -> tuple[Conversation, bool]:
    with prepared() as cursor:
        cursor.execute(
            "INSERT INTO conversations (listing_id, guest_id, host_id, last_seq, created_at, updated_at)"
            " VALUES (%s, %s, %s, 0, %s, %s) ON CONFLICT ON CONSTRAINT conversations_once DO NOTHING RETURNING id",
            [listing.pk, guest.pk, listing.host_id, now, now],
        )
        made = cursor.fetchone() is not None
    return Conversation.objects.get(listing=listing, guest=guest), made


def start(
    *, guest: User, listing_id: int, body: str, now: datetime, client_id: str = ""
) -> tuple[Message, bool]:
    """Write to the host of a listing; the message, and whether the conversation is new. All of it, or nothing.

    Raises: NotFound, OwnListing, Blocked, Gone, FeatureOff, Throttled, Invalid (what ``send`` refuses).
    """
    words, word = clean_body(body), _client_id(client_id)
    platform.require("messages")
    found = Conversation.objects.filter(listing_id=listing_id, guest=guest).first()
    if found is not None:
        return send(sender=guest, conversation_id=found.pk, body=words, now=now, client_id=word)[0], False
    listing = _listing_for(guest, listing_id)
    budgets.spend(budgets.MESSAGES, guest, now=now)
    budgets.spend(budgets.CONVERSATIONS, guest, now=now)
    return _start(guest, listing, words, word, now)


@retrying
def _start(guest: User, listing: Listing, body: str, client_id: str, now: datetime) -> tuple[Message, bool]:
    with transaction.atomic(durable=True):
        conversation, made = _opened(guest, listing, now)
        message, _new = _write(guest, conversation.pk, body, client_id, (), now)
    return message, made


def send(
    *,
    sender: User,
    conversation_id: int,
    body: str,
    now: datetime,
    client_id: str = "",
    attachment_ids: Collection[int] = (),
) -> tuple[Message, bool]:
    """Write into a conversation that one is in. False with the message that is there when ``client_id`` was stored before.

    ``body``: 1 to 5,000 characters, or none with attachments, which the sender has uploaded to this conversation.
    Contact data are taken out until a booking of the two was confirmed (setting ``mask_contact_data``). Everybody in
    the conversation gets a live event; the others are told once for each stretch that they have not read. Counts
    against the minute's budget of messages; call it outside of transactions.

    Raises: NotFound, Blocked, Gone, FeatureOff, Throttled, Invalid (``blank``, ``too_long``, ``invalid_text`` on ``body``;
    ``invalid_client_id``; ``unknown_attachment``, ``too_many_attachments`` on ``attachment_ids``).
    """
    words = clean_body(body, may_be_empty=bool(attachment_ids))
    word = _client_id(client_id)
    attaching.require_few(attachment_ids)
    platform.require("messages")
    budgets.spend(budgets.MESSAGES, sender, now=now)
    return _send(sender, conversation_id, words, word, tuple(attachment_ids), now)


@retrying
def _send(
    sender: User,
    conversation_id: int,
    body: str,
    client_id: str,
    attachment_ids: tuple[int, ...],
    now: datetime,
) -> tuple[Message, bool]:
    with transaction.atomic(durable=True):
        return _write(sender, conversation_id, body, client_id, attachment_ids, now)


def _write(
    sender: User,
    conversation_id: int,
    body: str,
    client_id: str,
    attachment_ids: tuple[int, ...],
    now: datetime,
) -> tuple[Message, bool]:
    held = parties.hold(conversation_id, sender)
    if held.is_blocked:
        raise Blocked
    other = held.host if held.is_guest(sender) else held.guest
    if other.erased_at is not None:
        raise Gone
    stored = _stored(held, sender, client_id) if attachment_ids and client_id else None
    if stored is not None:
        return stored, False
    attachments = attaching.take(held.conversation, sender, attachment_ids)
    is_open = held.conversation.contact_open_at is not None
    body, masked = (body, False) if is_open else masking.masked(body)
    message = Message(
        conversation=held.conversation,
        sender=sender,
        kind=attaching.kind_of(attachments),
        body=body,
        masked=masked,
        client_id=client_id,
        created_at=now,
    )
    readers = [user for user in held.everybody if user.pk != sender.pk]
    told = storing.store(held, message, readers=[user.pk for user in readers])
    if told is None:
        again = _stored(held, sender, client_id)
        if again is None:
            raise AssertionError("a message is not stored only when its client_id is there")
        return again, False
    attaching.send(message, attachments)
    tellings = [_telling(held, message, user, told[user.pk]) for user in readers if user.pk in told]
    everybody = [user.pk for user in held.everybody]
    notifications.tell(tellings, now=now, events=reading.frames(message, everybody))
    return message, True


def _stored(held: Held, sender: User, client_id: str) -> Message | None:
    mine = Message.objects.filter(conversation=held.conversation, sender=sender, client_id=client_id)
    return mine.select_related("sender").first()


def _telling(held: Held, message: Message, reader: User, since: int) -> Telling:
    sender: Any = message.sender
    return Telling(
        user=reader,
        kind=storing.RECEIVED,
        object_key=storing.notice_key(held.conversation.pk, since),
        params={
            "sender": sender.get_short_name(),
            "listing": held.listing.title,
        },
        data={
            "conversation_id": held.conversation.pk,
            "message_id": message.pk,
            "property_id": held.listing.pk,
            "sender_id": sender.pk,
        },
        url=f"/conversations/{held.conversation.pk}",
    )


_READ = """
    WITH marked AS (
        INSERT INTO participations AS p (conversation_id, user_id, read_seq, read_at)
        VALUES (%(conversation)s, %(reader)s, %(up_to)s, %(now)s)
        ON CONFLICT ON CONSTRAINT participations_once DO UPDATE SET read_seq = excluded.read_seq, read_at = excluded.read_at
        WHERE p.read_seq < excluded.read_seq
        RETURNING user_id
    ), seen AS (
        UPDATE messages SET read_at = %(now)s
        WHERE conversation_id = %(conversation)s AND seq <= %(up_to)s AND read_at IS NULL
            AND (sender_id = %(guest)s) <> %(is_guest)s AND EXISTS (SELECT FROM marked)
            AND seq > coalesce((
                SELECT read_seq FROM participations
                WHERE conversation_id = %(conversation)s AND user_id = %(reader)s
            ), 0)
    )
    SELECT count(*) FROM marked
"""


@retrying
def mark_read(*, reader: User, conversation_id: int, now: datetime, up_to: int | None = None) -> None:
    """Note that ``reader`` has read the conversation up to message ``up_to`` (all); going back changes nothing.

    What the other side wrote until there is read from now on; everybody else in it gets a live ``message.read``.
    Raises: NotFound.
    """
    with transaction.atomic(durable=True):
        held = parties.hold(conversation_id, reader)
        last = held.conversation.last_seq
        seq = last if up_to is None else min(up_to, last)
        if seq < 1 or not _mark(held, reader, seq, now):
            return
        # What has been read is not mailed any more.
        notifications.mark_about_read(
            user_id=reader.pk,
            kind=storing.RECEIVED,
            object_prefix=storing.notice_key(conversation_id, ""),
            now=now,
        )
        data = {
            "conversation_id": conversation_id,
            "user_id": reader.pk,
            "seq": seq,
            "read_at": instant(now),
        }
        others = [user.pk for user in held.everybody if user.pk != reader.pk]
        notifications.push_on_commit([Event(user_id, "message.read", data) for user_id in others], now=now)


def _mark(held: Held, reader: User, seq: int, now: datetime) -> bool:
    values: dict[str, Any] = {
        "conversation": held.conversation.pk,
        "reader": reader.pk,
        "up_to": seq,
        "now": now,
        "guest": held.conversation.guest_id,
        "is_guest": held.is_guest(reader),
    }
    with prepared() as cursor:
        cursor.execute(_READ, values)
        return bool(cursor.fetchone()[0])


def archive(*, user: User, conversation_id: int, now: datetime) -> None:
    """Put a conversation away for oneself; the next message brings it back. Raises: NotFound."""
    _put_away(user, conversation_id, now)


def unarchive(*, user: User, conversation_id: int) -> None:
    """Take it back. Raises: NotFound."""
    _put_away(user, conversation_id, None)


def _put_away(user: User, conversation_id: int, at: datetime | None) -> None:
    if not Conversation.objects.visible_to(user).filter(pk=conversation_id).exists():
        raise NotFound
    with transaction.atomic(), prepared() as cursor:
        cursor.execute(
            "INSERT INTO participations AS p (conversation_id, user_id, read_seq, archived_at) VALUES (%s, %s, 0, %s)"
            " ON CONFLICT ON CONSTRAINT participations_once DO UPDATE SET archived_at = excluded.archived_at"
            " WHERE (p.archived_at IS NULL) <> (excluded.archived_at IS NULL)",
            [conversation_id, user.pk, at],
        )


def post_event(
    *,
    listing: Listing,
    guest: User,
    event: str,
    params: Mapping[str, Any],
    now: datetime,
    opens_contact: bool = False,
) -> Message:
    """Say in the conversation of ``guest`` and ``listing`` what happened (``events.TEXTS``), and show it to everybody in it.

    The conversation is made where there is none. ``opens_contact``: from here on contact data pass. Inside the
    caller's transaction. Raises: KeyError for an unknown event.
    """
    posted = posting.post(
        listing=listing, guest=guest, event=event, params=params, now=now, opens_contact=opens_contact
    )
    notifications.push_on_commit(posted.events, now=now)
    return posted.messages[0]


@retrying
def hide_message(*, actor: Any, message_id: int, reason: str, now: datetime) -> Message:
    """Take a message out of sight of everybody in its conversation; it stays for staff. Its number stays as well.

    Raises: NotFound (also for a system message), NotAllowed, Invalid (no reason, or a too long one), WrongState
    (hidden already).
    """
    why = reason.strip()
    with transaction.atomic():
        found = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
        if found is None:
            raise NotFound
        lock(Conversation.objects.all(), pk=found)
        message = lock(Message.objects.select_related("conversation", "sender"), pk=message_id)
        access.require(actor, "message.hide", message)
        if message.sender is None:
            raise NotFound
        if not why:
            raise Invalid.field("reason", "required", _("Say why."))
        if len(why) > MAX_REASON:
            raise Invalid.field("reason", "too_long", _("At most 500 characters."))
        if message.hidden_at is not None:
            raise WrongState(extra={"state": "hidden"})
        message.hidden_at = now
        message.save(update_fields=["hidden_at"])
        forgetting.copies_of(message)
        audit.record(actor=actor, action="message.hide", subject=message, now=now, reason=why)
    return message


def clean_body(body: str, *, may_be_empty: bool = False) -> str:
    """``body`` as it is kept: NFC, Unix line breaks, stripped. Raises: Invalid."""
    text = unicodedata.normalize("NFC", body.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text):
        raise Invalid.field("body", "invalid_text", _("The text holds characters that are not allowed."))
    if not text and not may_be_empty:
        raise Invalid.field("body", "blank", _("This must not be empty."))
    if len(text) > BODY_LONGEST:
        raise Invalid.field("body", "too_long", _("At most 5000 characters."))
    return text


def _client_id(client_id: str) -> str:
    if len(client_id) > CLIENT_ID_LONGEST or not client_id.isprintable() or client_id != client_id.strip():
        message = _("At most 100 printable characters, without spaces around them.")
        raise Invalid.field("client_id", "invalid_client_id", message)
    return client_id
