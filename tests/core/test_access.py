"""The one permission question answers no unless a rule says yes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api.auth import ANONYMOUS
from backend.core import access
from backend.core.access import SYSTEM
from backend.core.errors import NotAllowed


class Somebody:
    is_authenticated = True

    def __init__(self, *roles: str) -> None:
        self.roles = roles

    def has_role(self, *roles: str) -> bool:
        return bool(set(roles) & set(self.roles))


@pytest.fixture(autouse=True)
def rules() -> Iterator[None]:
    """Two rules of this test alone."""

    @access.rule("test.read")
    def anyone_signed_in(actor: Any, subject: Any) -> bool:
        return True

    @access.rule("test.write")
    def owner(actor: Any, subject: Any) -> bool:
        return subject is actor or actor.has_role("admin")

    yield
    del access._rules["test.read"], access._rules["test.write"]


def test_can_asks_the_rule() -> None:
    ann, bob = Somebody(), Somebody("admin")

    assert access.can(ann, "test.write", ann)
    assert not access.can(ann, "test.write", bob)
    assert access.can(bob, "test.write", ann)


def test_nobody_signed_out_may_anything() -> None:
    assert not access.can(ANONYMOUS, "test.read")
    assert not access.can(None, "test.read")
    assert not access.can(object(), "test.read")


def test_the_system_may_what_has_a_rule() -> None:
    assert access.can(SYSTEM, "test.write", Somebody())
    assert SYSTEM.has_role("system")
    assert not SYSTEM.has_role("admin")


@pytest.mark.parametrize("actor", [SYSTEM, Somebody("admin"), ANONYMOUS])
def test_question_without_a_rule_is_a_defect(actor: Any) -> None:
    with pytest.raises(KeyError):
        access.can(actor, "test.nothing")


def test_require_refuses() -> None:
    access.require(Somebody("admin"), "test.write")

    with pytest.raises(NotAllowed):
        access.require(Somebody(), "test.write")


def test_action_has_one_rule() -> None:
    with pytest.raises(RuntimeError, match=r"test\.read"):
        access.rule("test.read")(lambda actor, subject: True)


def test_actions_are_listed() -> None:
    assert {"test.read", "test.write"} <= set(access.actions())
    assert access.actions() == sorted(access.actions())
