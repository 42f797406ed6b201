"""How much one account may do to others in a while: listings, messages, conversations. New accounts may do less.

Whatever sends a message or begins a conversation spends its budget here first, outside of its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.accounts.models import User
from backend.core import limits, platform

MINUTE_S, DAY_S = 60, 86_400


@dataclass(frozen=True, slots=True)
class Budget:
    """What is counted, over how long, and the settings that bound it: for everybody, and for new accounts."""

    name: str
    setting: str
    new_setting: str
    window_s: int


LISTINGS = Budget("listings", "limit_listings_host", "limit_listings_new_host", DAY_S)
MESSAGES = Budget("messages", "limit_messages_user", "limit_messages_new_user", MINUTE_S)
CONVERSATIONS = Budget("conversations", "limit_conversations_user", "limit_conversations_new_user", DAY_S)


def is_new(user: User, *, now: datetime) -> bool:
    """Whether the account is younger than the platform's ``new_account_days``."""
    return bool(user.created_at > now - timedelta(days=platform.get("new_account_days")))


def spend(budget: Budget, user: User, *, now: datetime) -> None:
    """Count one against the budget of ``user``; the stricter bound holds for a new account. Raises: Throttled."""
    limit = platform.get(budget.setting)
    if is_new(user, now=now):
        limit = min(limit, platform.get(budget.new_setting))
    limits.hit(f"{budget.name}:{user.pk}", limit=limit, window_s=budget.window_s)
