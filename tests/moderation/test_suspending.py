"""Shutting somebody out from their page and letting them in again: the same decision as in a case, and its limits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.identity import suspension
from backend.jobs.books import check_books
from backend.moderation import appeals, letters, suspending
from backend.moderation import services as moderation
from backend.moderation.models import Case, Decision, Report, Strike
from tests.factories import NOW, make_user
from tests.moderation.making import LATER, told
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

LATEST = LATER + timedelta(days=1)


def broken() -> list[str]:
    return [found.check.name for found in check_books() if found.count]


def suspended(by: User | None = None) -> Decision:
    return suspending.suspend(
        actor=by or make_user("moderator"), person=make_user(), code="harassment", words="Seen", now=LATER
    )


def appeal(decision: Decision) -> None:
    word = letters.link(decision.pk).rstrip("/").rpartition("/")[2]
    appeals.appeal_by_link(word=word, words="It was not me", now=LATEST)


def test_suspending_opens_a_case_and_decides_it() -> None:
    decision = suspended()

    person = decision.person
    person.refresh_from_db()
    assert (person.suspended_at, person.suspended_reason) == (
        LATER,
        "It insults, harasses or threatens somebody. Seen",
    )
    assert (decision.case.kind, Case.objects.get().status) == ("user", "decided")
    assert (Strike.objects.get().points, told(person)) == (3, ["account.suspended"])
    assert suspending.standing(person) == decision
    assert broken() == []


def test_suspending_keeps_the_rules_of_moderation() -> None:
    moderator, colleague = make_user("moderator"), make_user("support", is_staff=True)
    reported = make_user()
    moderation.report_user(reporter=moderator, user_id=reported.pk, reason="fraud", details="", now=NOW)
    before = (AuditEntry.objects.count(), Case.objects.count())

    tried = [(make_user("support"), make_user()), (moderator, moderator), (moderator, colleague)]
    for actor, person in [*tried, (moderator, reported)]:
        with pytest.raises(NotAllowed):
            suspending.suspend(actor=actor, person=person, code="harassment", words="x", now=LATER)
    for code, words in (("", "x"), ("photos", "x"), ("other", ""), ("fraud", "x" * 501)):
        with pytest.raises(Invalid):
            suspending.suspend(actor=moderator, person=make_user(), code=code, words=words, now=LATER)

    assert (AuditEntry.objects.count(), Case.objects.count()) == before
    assert (Decision.objects.count(), User.objects.filter(suspended_at__isnull=False).count()) == (0, 0)


def test_suspending_at_once_is_one_decision() -> None:
    person = make_user()
    moderators = [make_user("moderator") for _each in range(3)]

    def by(actor: User) -> Decision:
        return suspending.suspend(actor=actor, person=person, code="harassment", words="x", now=LATER)

    made = race(*[lambda actor=actor: by(actor) for actor in moderators])

    assert sum(isinstance(each, Decision) for each in made) == 1
    assert (Decision.objects.count(), Strike.objects.count(), Case.objects.count()) == (1, 1, 1)
    assert told(person) == ["account.suspended"]


def test_restoring_lets_the_decision_stand() -> None:
    decision, moderator = suspended(), make_user("moderator")

    person = suspending.reinstate(actor=moderator, person=decision.person, reason="Enough", now=LATEST)

    decision.refresh_from_db()
    assert (person.suspended_at, decision.reversed_at, Strike.objects.get().removed_at) == (None, None, None)
    assert told(person) == ["account.suspended", "account.restored"]
    assert AuditEntry.objects.get(action="user.restored").reason == "Enough"
    assert broken() == []


def test_restoring_takes_back_what_was_wrong() -> None:
    decision, moderator = suspended(), make_user("moderator")

    suspending.reinstate(
        actor=moderator, person=decision.person, reason="A twin", takes_back=True, now=LATEST
    )

    decision.refresh_from_db()
    assert (decision.reversed_at, Strike.objects.get().removed_at, Case.objects.get().status) == (
        *(LATEST, LATEST),
        "closed",
    )
    entry = AuditEntry.objects.get(action="case.take_back")
    assert (entry.actor, entry.reason) == (moderator, "A twin")
    assert broken() == []


def test_who_was_shut_out_by_a_command_is_restored_as_well() -> None:
    person, moderator = make_user(), make_user("moderator")
    suspension.suspend(actor=SYSTEM, user=person, reason="Fraud", now=LATER)

    suspending.reinstate(actor=moderator, person=person, reason="Done", takes_back=True, now=LATEST)

    person.refresh_from_db()
    assert (person.suspended_at, told(person)) == (None, ["account.restored"])
    with pytest.raises(WrongState):
        suspending.reinstate(actor=moderator, person=person, reason="Again", now=LATEST)


def test_an_appeal_is_decided_in_its_case_and_stays_decided() -> None:
    decision, moderator = suspended(), make_user("moderator")
    person = decision.person
    appeal(decision)

    with pytest.raises(WrongState):
        suspending.reinstate(actor=moderator, person=person, reason="x", now=LATEST)
    appeals.decide(actor=moderator, case_id=decision.case_id, granted=False, reason="It was", now=LATEST)
    with pytest.raises(Invalid):
        suspending.reinstate(actor=moderator, person=person, reason="x", takes_back=True, now=LATEST)

    person.refresh_from_db()
    assert (person.suspended_at, Strike.objects.get().removed_at) == (LATER, None)
    assert not AuditEntry.objects.filter(action="user.restored").exists()
    suspending.reinstate(actor=moderator, person=person, reason="Time has passed", now=LATEST)
    assert broken() == []


@pytest.mark.parametrize("role", ["support", "finance", "guest"])
def test_restoring_is_for_those_who_may(role: str) -> None:
    decision = suspended()

    with pytest.raises(NotAllowed):
        suspending.reinstate(actor=make_user(role), person=decision.person, reason="x", now=LATEST)
    with pytest.raises(Invalid):
        suspending.reinstate(actor=make_user("moderator"), person=decision.person, reason=" ", now=LATEST)

    decision.person.refresh_from_db()
    assert (decision.person.suspended_at, told(decision.person)) == (LATER, ["account.suspended"])
    assert Report.objects.count() == 0
