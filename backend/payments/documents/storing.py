"""The bytes of a document: made once, kept in the private storage, given out for ever.

A job makes them after the commit. Whoever comes earlier makes them; the first to note its file wins, and everybody
gives out that one. Never inside a transaction.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from io import BytesIO

import structlog
from django.core.files.storage import Storage, storages

from backend.core.db import outside_transaction
from backend.core.errors import Unavailable
from backend.payments.documents import rendering
from backend.payments.models import Document

PRIVATE = "private"
"""The storage that nobody reads but through us."""

log = structlog.get_logger(__name__)


def content(document: Document) -> bytes:
    """The PDF as it was made first; it is made now where it was not yet.

    Raises: Unavailable when what is stored is not what was made.
    """
    outside_transaction("storage")
    if not document.file:
        made = rendering.pdf(document)
        if _keep(document, made):
            return made
    return _stored(document)


def render(document_ids: Iterable[int]) -> int:
    """Make and keep what was not made yet; how many were. Again it changes nothing."""
    waiting = Document.objects.filter(pk__in=list(document_ids), file="")
    return sum(_keep(document, rendering.pdf(document)) for document in waiting)


def filename(document: Document) -> str:
    """How the file is called where people keep it."""
    return f"{re.sub(r'[^A-Za-z0-9-]', '_', document.reference)}.pdf"


def _storage() -> Storage:
    return storages[PRIVATE]


def _keep(document: Document, made: bytes) -> bool:
    """Store ``made`` as the document's bytes; False when somebody was faster, whose are noted in ``document`` then."""
    outside_transaction("storage")
    stem = filename(document).removesuffix(".pdf")
    name = _storage().save(f"documents/{document.year}/{stem}-{secrets.token_hex(8)}.pdf", BytesIO(made))
    checksum = hashlib.sha256(made).hexdigest()
    if Document.objects.filter(pk=document.pk, file="").update(file=name, sha256=checksum):
        document.file, document.sha256 = name, checksum
        return True
    _storage().delete(name)
    document.refresh_from_db(fields=["file", "sha256"])
    return False


def _stored(document: Document) -> bytes:
    """What is in the storage. A file that was lost is made again where that gives the very same bytes."""
    try:
        with _storage().open(document.file) as file:
            found: bytes = file.read()
    except FileNotFoundError:
        found = rendering.pdf(document)
        if hashlib.sha256(found).hexdigest() == document.sha256:
            _storage().save(document.file, BytesIO(found))
    if hashlib.sha256(found).hexdigest() != document.sha256:
        log.error("documents.not_what_was_made", document=document.reference, file=document.file)
        raise Unavailable
    return found
