"""What must be true of people who were erased. Made of the registry: a field that is named there is looked at here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Field

from backend.core.checks import Check
from backend.privacy.registry import PERSONAL, Fate, Personal

_ELSEWHERE = {"privacy.Erasure", "accounts.User"}
"""Looked at by checks of their own."""


def _joined(each: Personal) -> tuple[str, str]:
    """The FROM clause that leads from an erasure ``e`` to the rows of its user, and the alias of the rows."""
    options: Any = each.table._meta
    alias, path = "t0", []
    parts = each.owner.split("__")
    for number, part in enumerate(parts):
        field = options.get_field(part)
        if number == len(parts) - 1:
            path.append((alias, f"{alias}.{field.column} = e.user_id"))
            break
        following = f"t{number + 1}"
        options_next = field.related_model._meta
        path.append((alias, f"{alias}.{field.column} = {following}.{options_next.pk.column}"))
        options, alias = options_next, following
    tables = [each.table._meta.db_table]
    walked: Any = each.table._meta
    for part in parts[:-1]:
        walked = walked.get_field(part).related_model._meta
        tables.append(walked.db_table)
    joins = ""
    for number in range(len(tables) - 1, -1, -1):
        joins += f" JOIN {tables[number]} t{number} ON {path[number][1]}"
    return joins, "t0"


def _spoken(each: Personal, alias: str) -> Iterator[str]:
    """For every field that should be empty, the condition under which it is not."""
    for name, empty in each.blanks().items():
        field: Field[Any, Any] | Any = each.table._meta.get_field(name)
        column = f"{alias}.{field.column}"
        if empty is None:
            yield f"{column} IS NOT NULL"
        else:
            text = "" if empty == "" or field.get_internal_type() == "TextField" else _literal(empty, field)
            yield f"{column}::text <> '{text}'"


def _literal(empty: Any, field: Any) -> str:
    if field.get_internal_type() == "ArrayField":
        return "{}"
    return "[]" if empty == [] else "{}"


def _left() -> Iterator[str]:
    for each in PERSONAL:
        if each.model in _ELSEWHERE or each.fate not in (Fate.BLANKED, Fate.DELETED):
            continue
        joins, alias = _joined(each)
        wanted = [f"{alias}.{field} = '{value}'" for field, value in each.only]
        if each.fate is Fate.BLANKED:
            wanted.append(f"({' OR '.join(_spoken(each, alias))})")
        # Table and column names of our own models; nothing of it comes from outside.
        yield (
            f"SELECT e.user_id, '{each.table._meta.db_table}' AS relation, count(*) AS rows FROM erasures e{joins}"  # noqa: S608
            f" WHERE e.finished_at IS NOT NULL{''.join(f' AND {one}' for one in wanted)} GROUP BY e.user_id"
        )


CHECKS = [
    Check(
        name="erased_people_are_nameless",
        sql="""
            SELECT u.id AS user FROM users u
            WHERE u.erased_at IS NOT NULL AND (
                u.is_active OR u.username <> 'erased-' || u.id OR u.email <> 'erased-' || u.id OR u.last_name <> ''
                OR u.first_name <> 'Erased user ' || u.id OR u.password NOT LIKE '!%' OR u.suspended_reason <> ''
                OR NOT EXISTS (SELECT FROM erasures e WHERE e.user_id = u.id)
            )
        """,
        meaning="Somebody was erased and still has a name, a password or an address here.",
    ),
    Check(
        name="erased_people_have_nothing_living",
        sql="""
            SELECT u.id AS user, s.id::text AS row, 'session' AS what
            FROM users u JOIN sessions s ON s.user_id = u.id AND s.revoked_at IS NULL WHERE u.erased_at IS NOT NULL
            UNION ALL
            SELECT u.id, p.id::text, 'listing' FROM users u
            JOIN properties p ON p.host_id = u.id AND p.status <> 'archived' WHERE u.erased_at IS NOT NULL
            UNION ALL
            SELECT u.id, f.id::text, 'feed' FROM users u JOIN properties p ON p.host_id = u.id
            JOIN calendar_feeds f ON f.listing_id = p.id WHERE u.erased_at IS NOT NULL
            UNION ALL
            SELECT u.id, b.id::text, 'booking' FROM users u
            JOIN bookings b ON u.id IN (b.guest_id, b.host_id)
             AND (b.status = 'confirmed' OR b.status = 'pending' AND b.expires_at > %(now)s)
            WHERE u.erased_at IS NOT NULL
        """,
        meaning="Somebody was erased and is signed in, hosts, or is expected somewhere.",
    ),
    Check(
        name="erased_people_leave_nothing",
        sql=" UNION ALL ".join(_left()),
        meaning="An erasure is finished, and something personal was left or came after it.",
    ),
    Check(
        name="erasures_finish",
        sql="""
            SELECT e.user_id, e.asked_at, e.steps, e.failure FROM erasures e
            WHERE e.finished_at IS NULL AND e.asked_at < %(now)s - interval '1 day'
              AND e.asked_at < %(seen)s - interval '1 hour'
        """,
        meaning="What was kept of somebody who was erased is still there after a day.",
    ),
]
