"""Tables brought in: a rehearsal leaves nothing, an import is all or nothing and says who brought what and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.accounts.models import User
from backend.audit import importing
from backend.audit.models import AuditEntry
from backend.core.errors import Conflict, Invalid
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


class Gone(Conflict):
    """The row is not possible."""


def rename(user: User, name: str) -> Callable[[], str]:
    """A row that writes, and is refused only after it has."""

    def act() -> str:
        User.objects.filter(pk=user.pk).update(first_name=name)
        if name == "Refused":
            raise Gone
        return name

    return act


def bring_in(acts: list[Callable[[], str]], **said: Any) -> list[importing.Outcome]:
    values = {"kind": "accounts.user", "digest": "d1", "reason": "Spring", "now": NOW, **said}
    return importing.carry_out(acts, **{"actor": make_user("admin"), **values})


def names(*users: User) -> list[str]:
    return [User.objects.get(pk=user.pk).first_name for user in users]


def test_a_rehearsal_looks_at_every_row_and_leaves_nothing() -> None:
    first, second, third = (make_user(first_name="Before") for _each in range(3))

    outcomes = importing.rehearse([rename(first, "A"), rename(second, "Refused"), rename(third, "C")])

    assert [(each.result, type(each.error)) for each in outcomes] == [
        ("A", type(None)),
        (None, Gone),
        ("C", type(None)),
    ]
    assert names(first, second, third) == ["Before"] * 3


def test_rows_of_an_import_see_those_before_them() -> None:
    user = make_user(first_name="Before")

    outcomes = importing.rehearse([rename(user, "A"), lambda: names(user)])

    assert outcomes[1].result == ["A"]


def test_an_import_is_carried_out_and_noted() -> None:
    first, second, boss = make_user(), make_user(), make_user("admin")

    bring_in([rename(first, "A"), rename(second, "B")], actor=boss)

    assert names(first, second) == ["A", "B"]
    entry = AuditEntry.objects.get(action="rows.import")
    assert (entry.actor, entry.reason) == (boss, "Spring")
    assert entry.after == {"list": "accounts.user", "rows": 2, "sha256": "d1"}


def test_one_refused_row_undoes_all() -> None:
    first, second = make_user(first_name="Before"), make_user(first_name="Before")

    outcomes = bring_in([rename(first, "A"), rename(second, "Refused")])

    assert [type(each.error) for each in outcomes] == [type(None), Gone]
    assert (names(first, second), AuditEntry.objects.count()) == (["Before", "Before"], 0)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_an_import_needs_a_reason(reason: str) -> None:
    user = make_user(first_name="Before")

    with pytest.raises(Invalid):
        bring_in([rename(user, "A")], reason=reason)

    assert (names(user), AuditEntry.objects.count()) == (["Before"], 0)
