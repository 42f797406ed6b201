"""The one permission question: may this actor do this to that?

A package states its rules once, beside its operations::

    @access.rule("listing.edit")
    def may_edit(actor: Actor, listing: Listing) -> bool: ...

and everyone asks ``access.require(actor, "listing.edit", listing)``. A question without a rule is a defect
and answers with an exception, never with yes. Which objects an actor may know of at all is the business of
``visible_to(actor)`` on the querysets: what is not visible does not exist (404).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from backend.core.errors import NotAllowed


class Actor(Protocol):
    """Whoever acts: a user, or the system itself in jobs and imports."""

    @property
    def is_authenticated(self) -> bool: ...

    def has_role(self, *roles: str) -> bool: ...


class System:
    """The platform acting by itself: sweeps, webhooks, imports. It may do everything that a rule allows it."""

    id = None
    pk = None
    username = "system"
    is_authenticated = True

    def has_role(self, *roles: str) -> bool:
        return "system" in roles

    def __str__(self) -> str:
        return "system"


SYSTEM = System()

Rule = Callable[[Any, Any], bool]
_rules: dict[str, Rule] = {}


def rule(action: str) -> Callable[[Rule], Rule]:
    """Register the predicate that answers for ``action``. Each action has exactly one."""

    def register(predicate: Rule) -> Rule:
        if action in _rules:
            raise RuntimeError(f"{action} already has a rule")
        _rules[action] = predicate
        return predicate

    return register


def can(actor: Any, action: str, subject: Any = None) -> bool:
    """Whether ``actor`` may do ``action`` to ``subject``. The system may do everything; nobody signed out may."""
    predicate = _rules[action]
    if isinstance(actor, System):
        return True
    return bool(getattr(actor, "is_authenticated", False)) and predicate(actor, subject)


def require(actor: Any, action: str, subject: Any = None) -> None:
    """As ``can``, but Raises: NotAllowed."""
    if not can(actor, action, subject):
        raise NotAllowed


def actions() -> list[str]:
    """Every action that has a rule, for the test that walks them all."""
    return sorted(_rules)
