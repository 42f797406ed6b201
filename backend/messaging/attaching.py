"""Pictures and files of messages: uploaded first, then sent with a message, handed out by signed addresses.

They lie in the private storage. Pictures are written anew, so that nothing but their pixels is kept; of files those are
taken that no browser runs: PDF and plain text, told by their content and not by their name.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core import images, limits, platform, stored
from backend.core.db import outside_transaction, retrying
from backend.core.errors import Invalid, NotFound
from backend.messaging import links, parties
from backend.messaging.models import Attachment, Conversation, Message

MOST = 10
"""Attachments of one message."""

LARGEST = 10 * 1024 * 1024
"""Bytes of one attachment."""

MAX_SIDE = 2048
THUMBNAIL_WIDTH = 480
"""In pixels."""

UNSENT_KEPT = timedelta(days=1)
"""How long something waits to be sent."""

HOUR_S = 3600
NAME_LONGEST = 120
PDF, TEXT = "application/pdf", "text/plain"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"\x00\x00\x00")
_ENDINGS = {PDF: "pdf", TEXT: "txt"}
_BATCH = 500


@dataclass(frozen=True, slots=True)
class File:
    """A stored file for whoever holds a good address."""

    content: bytes
    name: str
    content_type: str
    is_picture: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    kind: str
    content: ContentFile[bytes]
    content_type: str
    width: int | None = None
    height: int | None = None


def upload(*, actor: User, conversation_id: int, file: IO[bytes], name: str, now: datetime) -> Attachment:
    """Take in a picture or a file for a message of ``actor`` to come; what is not sent within a day goes away.

    ``name`` is what they call it. Call it outside of transactions.
    Raises: NotFound, FeatureOff, Throttled, Invalid on ``file`` (``file_too_large``, ``empty_file``, ``unsupported_file``, and what
    ``images.reencode`` refuses).
    """
    outside_transaction("storage")
    if not Conversation.objects.visible_to(actor).filter(pk=conversation_id).exists():
        raise NotFound
    platform.require("attachments")
    limits.hit(f"attachments:{actor.pk}", limit=platform.get("limit_attachments_user"), window_s=HOUR_S)
    taken = _taken(file)
    ending = str(taken.content.name).rpartition(".")[2]
    stored = storages["private"].save(
        f"messages/{conversation_id}/{secrets.token_urlsafe(18)}.{ending}", taken.content
    )
    try:
        return _add(actor, conversation_id, taken, stored, _name(name, ending), now)
    except BaseException:
        storages["private"].delete(stored)
        raise


@retrying
def _add(
    actor: User, conversation_id: int, taken: _Taken, stored: str, name: str, now: datetime
) -> Attachment:
    with transaction.atomic():
        # Who was taken off in the meantime puts nothing in.
        held = parties.hold(conversation_id, actor)
        attachment = Attachment.objects.create(
            uploader=actor,
            conversation=held.conversation,
            kind=taken.kind,
            file=stored,
            name=name,
            content_type=taken.content_type,
            size=taken.content.size,
            width=taken.width,
            height=taken.height,
            created_at=now,
        )
        if taken.kind == Attachment.Kind.IMAGE:
            from backend.messaging.tasks import make_thumbnail

            make_thumbnail.defer(attachment_id=attachment.pk)
    return attachment


def require_few(attachment_ids: Collection[int]) -> None:
    """Raises: Invalid when there are more than a message may have."""
    if len(set(attachment_ids)) > MOST:
        raise Invalid.field("attachment_ids", "too_many_attachments", _("At most 10 attachments."))


def take(conversation: Conversation, sender: User, attachment_ids: Sequence[int]) -> list[Attachment]:
    """What the sender has uploaded to this conversation and not sent yet, held, by id. Raises: Invalid for anything else."""
    wanted = set(attachment_ids)
    if not wanted:
        return []
    mine = Attachment.objects.filter(
        pk__in=wanted, conversation=conversation, uploader=sender, message=None
    ).order_by("pk")
    found = list(mine.select_for_update(of=("self",), no_key=True))
    if len(found) < len(wanted):
        message = _("Upload it to this conversation first. Each attachment is sent once.")
        raise Invalid.field("attachment_ids", "unknown_attachment", message)
    return found


def kind_of(attachments: Sequence[Attachment]) -> str:
    """The kind of a message with these attachments."""
    if not attachments:
        return Message.Kind.TEXT
    are_pictures = all(each.kind == Attachment.Kind.IMAGE for each in attachments)
    return Message.Kind.IMAGE if are_pictures else Message.Kind.FILE


def send(message: Message, attachments: Sequence[Attachment]) -> None:
    """Make them the message's."""
    if attachments:
        Attachment.objects.filter(pk__in=[each.pk for each in attachments]).update(message=message)


def read(*, attachment_id: int, size: str, token: str) -> File:
    """The file behind an address that ``links`` gave out. Never inside a transaction.

    Raises: NotFound for a token that is not good (any more), and for what is gone or hidden.
    """
    outside_transaction("storage")
    if size not in links.SIZES or not links.is_good(attachment_id, size, token):
        raise NotFound
    found = Attachment.objects.select_related("message").filter(pk=attachment_id).first()
    if found is None or (found.message is not None and found.message.hidden_at is not None):
        raise NotFound
    stored = str(found.file) if size == links.FULL else found.thumbnail
    if not stored:
        raise NotFound
    try:
        with storages["private"].open(stored) as opened:
            content = opened.read()
    except FileNotFoundError:
        raise NotFound from None
    return File(content, found.name, found.content_type, found.kind == Attachment.Kind.IMAGE)


def make_thumbnail(attachment_id: int) -> None:
    """Make and store the smaller picture. Again, or after its deletion, it changes nothing.

    Raises: whatever the storage raises; the job tries again.
    """
    outside_transaction("storage")
    found = Attachment.objects.filter(pk=attachment_id, kind=Attachment.Kind.IMAGE, thumbnail="").first()
    if found is None:
        return
    with storages["private"].open(str(found.file)) as source:
        picture = images.resize(source, [THUMBNAIL_WIDTH])[THUMBNAIL_WIDTH]
    ending = str(picture.content.name).rpartition(".")[2]
    name = f"messages/{found.conversation_id}/{secrets.token_urlsafe(18)}.{ending}"
    stored = storages["private"].save(name, picture.content)
    if not Attachment.objects.filter(pk=attachment_id, thumbnail="").update(thumbnail=stored):
        storages["private"].delete(stored)


def purge(*, now: datetime) -> int:
    """Delete what was uploaded and not sent within ``UNSENT_KEPT``; how many."""
    count = 0
    old = Attachment.objects.filter(message=None, created_at__lt=now - UNSENT_KEPT)
    while ids := list(old.values_list("pk", flat=True)[:_BATCH]):
        count += remove(Attachment.objects.filter(pk__in=ids, message=None))
    return count


def remove(rows: QuerySet[Attachment]) -> int:
    """Delete attachments, and their files once that is committed; how many."""
    from backend.messaging.tasks import remove_files

    with transaction.atomic():
        found = list(rows.select_for_update(of=("self",)).order_by("pk"))
        names = [name for each in found for name in (str(each.file), each.thumbnail) if name]
        Attachment.objects.filter(pk__in=[each.pk for each in found]).delete()
        if names:
            remove_files.defer(names=names, for_good=stored.is_for_good())
    return len(found)


def delete_files(names: Collection[str]) -> None:
    """Delete stored files; a name without a file is fine. Raises: what the storage raises."""
    outside_transaction("storage")
    for name in names:
        storages["private"].delete(name)


def _taken(file: IO[bytes]) -> _Taken:
    """The file as it is kept. Raises: Invalid."""
    file.seek(0)
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Invalid.field("file", "file_too_large", _("At most 10 MB."))
    if not content:
        raise Invalid.field("file", "empty_file", _("The file is empty."))
    if content.startswith(_PICTURES):
        picture = images.reencode(file, max_side=MAX_SIDE)
        is_webp = str(picture.content.name).endswith(".webp")
        content_type = "image/webp" if is_webp else "image/jpeg"
        return _Taken(
            Attachment.Kind.IMAGE, picture.content, content_type, width=picture.width, height=picture.height
        )
    content_type = PDF if content.startswith(b"%PDF-") else TEXT
    if content_type == TEXT and not _is_plain(content):
        message = _("Pictures, PDF and plain text are taken.")
        raise Invalid.field("file", "unsupported_file", message)
    return _Taken(
        Attachment.Kind.FILE, ContentFile(content, name=f"file.{_ENDINGS[content_type]}"), content_type
    )


def _is_plain(content: bytes) -> bool:
    """Whether it is UTF-8 without control characters but those that lay lines out."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", text)


def _name(name: str, ending: str) -> str:
    """A name as it is shown and offered for saving: its last part, one line, and the ending of what it really is."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if unicodedata.category(char)[0] != "C" and char not in '"<>:|?*')
    stem = kept.rpartition(".")[0] or kept
    stem = stem.strip(" .")[:NAME_LONGEST].strip(" .")
    return f"{stem or 'file'}.{ending}"
