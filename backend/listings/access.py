"""Who may do what to a listing."""

from __future__ import annotations

from typing import Any

from backend.core import access
from backend.listings.cohosts import CALENDAR, stands_in


@access.rule("listing.create")
def may_create(actor: Any, subject: None) -> bool:
    """Hosts may; whoever registered as a guest only becomes a host first."""
    return actor.has_role("host")


@access.rule("listing.edit")
def may_edit(actor: Any, listing: Any) -> bool:
    """Its host, and who keeps its calendar: texts, prices, rules, pictures, and whether it is offered."""
    return stands_in(actor, listing, CALENDAR)


@access.rule("listing.withdraw")
def may_withdraw(actor: Any, listing: Any) -> bool:
    return listing.host_id == actor.pk or actor.has_role("moderator", "admin")


@access.rule("listing.moderate")
def may_moderate(actor: Any, listing: Any) -> bool:
    """Approve, flag, reject: moderators, but nobody judges a listing of their own."""
    return actor.has_role("moderator", "admin") and listing.host_id != actor.pk


@access.rule("listing.correct")
def may_correct(actor: Any, listing: Any) -> bool:
    """Change what is the host's in their stead: administrators, and never a listing of their own."""
    return actor.has_role("admin") and listing.host_id != actor.pk


def require_change(actor: Any, action: str, listing: Any, reason: str) -> None:
    """``action`` of the listing's host; or, of whoever says why, in the host's stead. Raises: NotAllowed."""
    in_stead = bool(reason.strip()) and not access.can(actor, action, listing)
    access.require(actor, "listing.correct" if in_stead else action, listing)
