"""What a listing says in other languages than its own: title, description, house rules.

The listing's own fields are the source, in ``Listing.language``. A text in another language is shown to whoever reads
that language (``reading``), found by search, and changed by whoever may change the listing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Profile
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, FieldError, Invalid, NotFound, Stale
from backend.listings import access as listing_access
from backend.listings import fields
from backend.listings.correcting import tell_host
from backend.listings.models import Listing, ListingText
from backend.listings.reading import WORDS
from backend.listings.states import ListingStatus


class SourceLanguage(Conflict):
    """The listing itself speaks this language."""

    code = "source_language"
    title = _("This is the listing's own language: change the listing itself.")


class TextExists(Conflict):
    """There is a translation into the language that should become the listing's own."""

    code = "text_exists"
    title = _("There is a text in this language. Remove it before the listing itself takes the language.")


@access.rule("listing.texts")
def may_see_texts(actor: Any, listing: Listing) -> bool:
    """Whoever may change them."""
    return listing_access.may_edit(actor, listing)


@retrying
def put(
    *,
    actor: Any,
    listing: Listing,
    language: str,
    changes: Mapping[str, str],
    now: datetime,
    versions: Collection[int] | None = None,
    reason: str = "",
) -> ListingText:
    """Say ``changes`` (of ``WORDS``) in ``language``; a new text needs a title, an old one keeps what is not named.

    ``versions`` are those of the text that the caller has seen. Staff who act in the host's stead say why.
    Raises: NotAllowed, NotFound (withdrawn), Stale, Invalid, SourceLanguage.
    """
    listing_access.require_change(actor, "listing.edit", listing, reason)
    kept = _kept(language, changes)
    with transaction.atomic():
        current = _living(listing)
        if language == current.language:
            raise SourceLanguage
        row = ListingText.objects.filter(listing=current, language=language).first()
        _require_seen(row, versions)
        if row is None:
            row = ListingText(listing=current, language=language, version=0, created_at=now)
        changed = [name for name, text in kept.items() if getattr(row, name) != text]
        if not row.title and not kept.get("title"):
            raise Invalid.field("title", "required", _("This is required."))
        if changed or row.version == 0:
            for name in changed:
                setattr(row, name, kept[name])
            row.version += 1
            row.updated_at = now
            row.save()
            _note(actor, current, language, {"version": row.version, "changed": changed}, now, reason)
    return row


@retrying
def remove(
    *,
    actor: Any,
    listing: Listing,
    language: str,
    now: datetime,
    versions: Collection[int] | None = None,
    reason: str = "",
) -> None:
    """Say nothing in ``language`` any more; its readers see the listing's own words.

    Raises: NotAllowed, NotFound (withdrawn, or no such text), Stale.
    """
    listing_access.require_change(actor, "listing.edit", listing, reason)
    with transaction.atomic():
        current = _living(listing)
        row = ListingText.objects.filter(listing=current, language=language).first()
        if row is None:
            raise NotFound
        _require_seen(row, versions)
        row.delete()
        _note(actor, current, language, {"removed": True}, now, reason)


def own_language(host: Any) -> str:
    """What a new listing of ``host`` is taken to be written in: what they want to be served in, else the platform's."""
    own = Profile.objects.filter(pk=host.pk).values_list("language", flat=True).first()
    return own if own in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def require_free(listing: Listing, language: str) -> None:
    """That the locked ``listing`` may take ``language`` for its own. Raises: TextExists."""
    if language != listing.language and listing.texts.filter(language=language).exists():
        raise TextExists


def _living(listing: Listing) -> Listing:
    current = lock(Listing.objects.all(), pk=listing.pk)
    if current.status == ListingStatus.ARCHIVED:
        raise NotFound
    return current


def _require_seen(row: ListingText | None, versions: Collection[int] | None) -> None:
    if versions is not None and (row is None or row.version not in versions):
        raise Stale


def _kept(language: str, changes: Mapping[str, str]) -> dict[str, str]:
    """The words as they are kept. Raises: Invalid with an error for each wrong one; TypeError for others than ``WORDS``."""
    if unknown := set(changes) - set(WORDS):
        raise TypeError(f"a text has no {', '.join(sorted(unknown))}")
    kept, errors = {}, []
    try:
        fields.language(language)
    except fields.Refused as refused:
        errors.append(FieldError("language", refused.code, refused.message))
    for name, value in changes.items():
        try:
            kept[name] = fields.text(value, *fields.TEXTS[name], lines=name != "title")
        except fields.Refused as refused:
            errors.append(FieldError(name, refused.code, refused.message))
    if errors:
        raise Invalid(errors=errors)
    return kept


def _note(
    actor: Any, listing: Listing, language: str, what: dict[str, Any], now: datetime, reason: str
) -> None:
    """The log says what changed in which language, and not to what."""
    action = "listing.text"
    audit.record(
        actor=actor,
        action=action,
        subject=listing,
        now=now,
        after={"language": language, **what},
        reason=reason.strip(),
        in_stead_of=listing.host_id,
    )
    tell_host(actor=actor, listing=listing, action=action, reason=reason, now=now)
