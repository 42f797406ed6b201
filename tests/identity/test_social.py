"""Signing in with an identity: whose account it opens, when it makes one, when it is linked, and when it is refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import connection

from backend.accounts.models import Profile, Session, User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.errors import DomainError, Invalid, NotAllowed, NotFound, Throttled
from backend.identity import mfa, sessions, social, social_codes
from backend.identity import services as identity
from backend.identity.social import AccountExists, EmailRequired, IdentityTaken, LastWayIn
from backend.identity.social_providers import Identity, IdentityRefused
from backend.notifications.models import Notification
from tests.factories import NOW, PASSWORD, make_user
from tests.identity.social import verified
from tests.identity.test_mfa import code_at

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("203.0.113.7", "Firefox")
AMINA = Identity("google", "110", "amina@example.com", True, "Amina", "Otieno", "proof-1", NOW)


def again(who: Identity = AMINA, proof: str = "proof-2", **changes: Any) -> Identity:
    """The same person with another proof."""
    return replace(who, proof=proof, **changes)


def sign_in(who: Identity = AMINA, **given: Any) -> identity.SignedIn:
    return social.sign_in(identity=who, device=DEVICE, now=NOW, **given)


def nothing_happened(users: int = 0) -> None:
    assert (User.objects.count(), Profile.objects.count()) == (users, users)
    assert (SocialAccount.objects.count(), Session.objects.count()) == (0, 0)


def test_somebody_new_gets_an_account() -> None:
    signed_in = sign_in()

    user = User.objects.get()
    assert (user.username, user.email, user.first_name, user.last_name) == (
        *("amina_otieno", "amina@example.com"),
        *("Amina", "Otieno"),
    )
    assert (user.roles, user.has_usable_password()) == (frozenset({"guest", "host"}), False)
    assert EmailAddress.objects.values_list("email", "verified", "primary").get() == (user.email, True, True)
    assert SocialAccount.objects.values_list("user_id", "provider", "uid").get() == (user.pk, "google", "110")
    assert sessions.authenticate(token=signed_in.access, now=NOW) == user
    assert Notification.objects.count() == 0
    assert [entry.action for entry in AuditEntry.objects.all()] == ["identity.linked"]


def test_same_identity_comes_back_to_its_account() -> None:
    first = sign_in()
    User.objects.update(email="elsewhere@example.com")

    second = sign_in(again(email="new@example.com"))

    assert second.user == first.user
    assert (User.objects.count(), Session.objects.count()) == (1, 2)
    assert User.objects.get().email == "elsewhere@example.com"


def test_address_that_nobody_verified_starts_unverified() -> None:
    sign_in(replace(AMINA, email_verified=False))

    assert EmailAddress.objects.values_list("email", "verified").get() == ("amina@example.com", False)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("Amina", "Otieno", r"amina_otieno"),
        ("José María", "Ñúñez-O'Brien", r"jose_maria_nunez_o_brien"),
        ("美咲", "", r"user_\d{2}"),
        ("", "", r"user_\d{2}"),
        ("A" * 80, "B" * 80, r"a{40}"),
    ],
)
def test_username_is_made_of_the_name(first: str, last: str, expected: str) -> None:
    sign_in(replace(AMINA, first_name=first, last_name=last))

    assert re.fullmatch(expected, User.objects.get().username)


def test_username_that_is_taken_gets_a_number() -> None:
    make_user(username="Amina_Otieno")

    assert sign_in().user.username.startswith("amina_otieno_")


def test_role_may_be_chosen_by_somebody_new() -> None:
    assert sign_in(role="guest").user.roles == frozenset({"guest"})


def test_address_is_asked_for_where_the_provider_keeps_it() -> None:
    hidden = replace(AMINA, provider="facebook", email="", email_verified=False)
    with pytest.raises(EmailRequired) as asked:
        sign_in(hidden)
    assert [(error.field, error.code) for error in asked.value.errors] == [("email", "email_required")]
    nothing_happened()

    code = asked.value.extra["login_code"]
    kept = social_codes.redeem(code, provider="facebook", verifier="", now=NOW + timedelta(minutes=9))
    sign_in(kept, email="Typed@Example.com")

    assert EmailAddress.objects.values_list("email", "verified").get() == ("typed@example.com", False)
    with pytest.raises(IdentityRefused):
        sign_in(hidden)


@pytest.mark.parametrize("email", ["nobody", "a@b", "x" * 300 + "@example.com"])
def test_address_that_is_none_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refused:
        sign_in(replace(AMINA, email="", email_verified=False), email=email)

    assert [(error.field, error.code) for error in refused.value.errors] == [("email", "invalid_email")]
    nothing_happened()


def test_identity_links_itself_where_both_sides_verified_the_address() -> None:
    anna = verified("Amina@Example.com")

    assert sign_in().user == anna

    assert SocialAccount.objects.get().user == anna
    assert [notice.kind for notice in Notification.objects.all()] == ["security.identity_linked"]
    assert Notification.objects.get().params == {"provider": "Google", "account": "amina@example.com"}


@pytest.mark.parametrize("unverified", ["there", "here", "both"])
def test_identity_links_itself_to_nothing_less(unverified: str) -> None:
    """Whoever registers an address first, here or there, must not get into the account of its owner."""
    if unverified == "there":
        verified("amina@example.com")
    else:
        user = make_user(email="amina@example.com")
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False)

    with pytest.raises(AccountExists) as refused:
        sign_in(replace(AMINA, email_verified=unverified == "here"))

    assert set(refused.value.extra) == {"login_code"}
    nothing_happened(users=1)


def test_typed_address_opens_no_account_that_exists() -> None:
    verified("amina@example.com")

    with pytest.raises(AccountExists):
        sign_in(replace(AMINA, email="", email_verified=False), email="amina@example.com")

    nothing_happened(users=1)


def test_address_verified_for_another_account_links_nothing() -> None:
    """The account's present address counts, not one that a row still remembers."""
    user = verified("amina@example.com")
    User.objects.filter(pk=user.pk).update(email="moved@example.com")

    with pytest.raises(AccountExists):
        sign_in()

    nothing_happened(users=1)


@pytest.mark.parametrize("how", ["suspended", "closed", "erased"])
@pytest.mark.parametrize("is_linked", [True, False])
def test_closed_account_is_refused_as_a_wrong_password(how: str, is_linked: bool) -> None:
    user = verified("amina@example.com")
    if is_linked:
        SocialAccount.objects.create(user=user, provider="google", uid="110")
    fields: dict[str, Any] = {
        "suspended": {"suspended_at": NOW},
        "closed": {"is_active": False},
        "erased": {"is_active": False, "erased_at": NOW},
    }[how]
    User.objects.update(**fields)

    with pytest.raises(identity.InvalidCredentials):
        sign_in()

    assert (SocialAccount.objects.count(), Session.objects.count()) == (int(is_linked), 0)


def test_second_step_is_asked_for() -> None:
    user = verified("amina@example.com", password=PASSWORD)
    SocialAccount.objects.create(user=user, provider="google", uid="110")
    secret = mfa.begin(actor=user, now=NOW).secret
    mfa.confirm(actor=user, code=code_at(secret, NOW - timedelta(seconds=30)), device=DEVICE, now=NOW)

    with pytest.raises(identity.MfaRequired) as asked:
        sign_in()
    assert Session.objects.count() == 0
    with pytest.raises(IdentityRefused):
        sign_in()

    token = asked.value.extra["mfa_token"]
    signed_in = identity.finish(token=token, code=code_at(secret, NOW), device=DEVICE, now=NOW)
    assert signed_in.user == user


def test_second_step_comes_before_anything_is_linked() -> None:
    user = verified("amina@example.com", password=PASSWORD)
    secret = mfa.begin(actor=user, now=NOW).secret
    mfa.confirm(actor=user, code=code_at(secret, NOW), device=DEVICE, now=NOW)

    with pytest.raises(identity.MfaRequired):
        sign_in()

    nothing_happened(users=1)


def test_proof_opens_one_session() -> None:
    sign_in()
    for _time in range(2):
        with pytest.raises(IdentityRefused):
            sign_in()

    assert Session.objects.count() == 1


def test_proof_without_a_name_is_good_again() -> None:
    """Facebook's access tokens live for weeks; its application keeps them."""
    for _time in range(2):
        sign_in(replace(AMINA, provider="facebook", proof=""))

    assert (User.objects.count(), Session.objects.count()) == (1, 2)


def test_new_device_is_told_of() -> None:
    sign_in()
    social.sign_in(identity=again(), device=identity.Device("198.51.100.9", "Opera"), now=NOW)

    assert [notice.kind for notice in Notification.objects.all()] == ["security.new_device"]


def test_accounts_made_by_identities_are_limited_by_address() -> None:
    platform.put("limit_register_address", 1)
    sign_in()
    with pytest.raises(Throttled):
        sign_in(Identity("google", "111", "other@example.com", True, "Otto", "", "proof-9", NOW))

    assert User.objects.count() == 1


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gave or raised, all begun at the same moment."""
    outcomes: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], Any]) -> None:
        gate.wait()
        try:
            outcomes[number] = call()
        except DomainError as error:
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_proof_at_once_opens_one_session() -> None:
    outcomes = at_once(*[sign_in] * 6)

    assert sum(isinstance(each, identity.SignedIn) for each in outcomes) == 1
    assert sum(isinstance(each, IdentityRefused) for each in outcomes) == 5
    assert (User.objects.count(), Session.objects.count()) == (1, 1)


def test_one_identity_at_once_makes_one_account() -> None:
    outcomes = at_once(*[lambda n=n: sign_in(again(proof=f"proof-{n}")) for n in range(6)])

    assert len({each.user.pk for each in outcomes}) == 1
    assert (User.objects.count(), SocialAccount.objects.count(), Session.objects.count()) == (1, 1, 6)


def test_one_name_at_once_makes_as_many_names() -> None:
    people = [
        Identity("google", str(n), f"amina{n}@example.com", True, "Amina", "Otieno", f"p{n}", NOW)
        for n in range(6)
    ]
    outcomes = at_once(*[lambda who=who: sign_in(who) for who in people])

    names = {each.user.username for each in outcomes}
    assert len(names) == 6
    assert "amina_otieno" in names


def test_one_address_at_once_makes_one_account() -> None:
    google, apple = AMINA, replace(AMINA, provider="apple", uid="a.1", proof="proof-3")
    outcomes = at_once(lambda: sign_in(google), lambda: sign_in(apple))

    assert {each.user.pk for each in outcomes} == {User.objects.get().pk}
    assert SocialAccount.objects.count() == 2


def signed_in_user(password: str | None = PASSWORD) -> User:
    user = make_user(password=password)
    user.session_id = sessions.open_session(user=user, device=DEVICE, now=NOW).user.session_id
    return user


def test_link_lets_an_identity_in() -> None:
    user = signed_in_user()
    social.link(actor=user, identity=AMINA, now=NOW)

    assert [notice.kind for notice in Notification.objects.all()] == ["security.identity_linked"]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after) == ("identity.linked", {"provider": "google"})
    assert sign_in(again()).user == user
    with pytest.raises(IdentityRefused):
        sign_in()


def test_link_takes_a_recent_sign_in() -> None:
    with pytest.raises(identity.StepUpRequired):
        social.link(actor=signed_in_user(), identity=AMINA, now=NOW + sessions.RECENT)

    assert (SocialAccount.objects.count(), Notification.objects.count()) == (0, 0)


@pytest.mark.parametrize("by", ["another", "oneself"])
def test_link_refuses_what_is_linked(by: str) -> None:
    user = signed_in_user()
    owner = user if by == "oneself" else make_user()
    SocialAccount.objects.create(user=owner, provider="google", uid="110")

    with pytest.raises(IdentityTaken):
        social.link(actor=user, identity=AMINA, now=NOW)

    assert SocialAccount.objects.get().user == owner
    assert Notification.objects.count() == 0


def test_link_refuses_too_many() -> None:
    user = signed_in_user()
    for number in range(social.MOST):
        SocialAccount.objects.create(user=user, provider="google", uid=f"u{number}")

    with pytest.raises(Invalid):
        social.link(actor=user, identity=AMINA, now=NOW)


def test_unlink_shuts_an_identity_out() -> None:
    user = signed_in_user()
    account = social.link(actor=user, identity=AMINA, now=NOW)

    social.unlink(actor=user, identity_id=account.pk, now=NOW)

    assert SocialAccount.objects.count() == 0
    assert AuditEntry.objects.order_by("-id").values_list("action", flat=True)[0] == "identity.unlinked"
    assert Notification.objects.filter(kind="security.identity_unlinked").count() == 1
    with pytest.raises(NotFound):
        social.unlink(actor=user, identity_id=account.pk, now=NOW)


def test_unlink_takes_a_recent_sign_in_and_ones_own_identity() -> None:
    user = signed_in_user()
    account = social.link(actor=user, identity=AMINA, now=NOW)

    with pytest.raises(identity.StepUpRequired):
        social.unlink(actor=user, identity_id=account.pk, now=NOW + sessions.RECENT)
    with pytest.raises(NotFound):
        social.unlink(actor=signed_in_user(), identity_id=account.pk, now=NOW)

    assert SocialAccount.objects.count() == 1


def test_unlink_leaves_a_way_in() -> None:
    user = sign_in().user
    account = SocialAccount.objects.get()
    with pytest.raises(LastWayIn):
        social.unlink(actor=user, identity_id=account.pk, now=NOW)
    assert SocialAccount.objects.count() == 1

    social.link(actor=user, identity=replace(AMINA, provider="apple", uid="a.1"), now=NOW)
    social.unlink(actor=user, identity_id=account.pk, now=NOW)

    assert SocialAccount.objects.get().provider == "apple"


def test_two_unlinks_at_once_leave_a_way_in() -> None:
    user = sign_in().user
    social.link(actor=user, identity=replace(AMINA, provider="apple", uid="a.1"), now=NOW)
    ids = list(SocialAccount.objects.values_list("pk", flat=True))

    outcomes = at_once(*[lambda n=n: social.unlink(actor=user, identity_id=n, now=NOW) for n in ids])

    assert sorted(type(each).__name__ for each in outcomes) == ["LastWayIn", "NoneType"]
    assert SocialAccount.objects.count() == 1


def test_staff_remove_an_identity_with_a_reason() -> None:
    user = sign_in().user
    moderator = make_user("moderator")

    def remove(actor: User = moderator, provider: str = "google", reason: str = "Stolen") -> None:
        social.remove(actor=actor, user=user, provider=provider, reason=reason, now=NOW)

    for actor in (make_user("support"), make_user("finance"), make_user(), user):
        with pytest.raises(NotAllowed):
            remove(actor)
    for given in ({"reason": " "}, {"provider": "apple"}):
        with pytest.raises(Invalid):
            remove(**given)
    assert SocialAccount.objects.count() == 1

    remove()

    entry = AuditEntry.objects.order_by("-id")[0]
    assert (entry.action, entry.reason, entry.actor_id) == ("identity.unlinked", "Stolen", moderator.pk)
    assert SocialAccount.objects.count() == 0
    with pytest.raises(Invalid):
        remove()


LATE = NOW + sessions.RECENT


def test_identity_of_ones_own_confirms_the_session() -> None:
    user = sign_in().user
    fresh = again(proved_at=LATE)
    social.confirm(actor=user, identity=fresh, now=LATE)
    sessions.require_recent(user, now=LATE)

    with pytest.raises(IdentityRefused):
        social.confirm(actor=user, identity=fresh, now=LATE)


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (again(proved_at=NOW), identity.StepUpRequired),
        (again(proved_at=None), identity.StepUpRequired),
        (again(uid="111", proved_at=LATE), IdentityRefused),
        (again(provider="apple", proved_at=LATE), IdentityRefused),
        (replace(AMINA, proved_at=LATE), IdentityRefused),
    ],
    ids=["old", "timeless", "unknown", "other provider", "used"],
)
def test_nothing_else_confirms_the_session(who: Identity, error: type[DomainError]) -> None:
    user = sign_in().user
    with pytest.raises(error):
        social.confirm(actor=user, identity=who, now=LATE)

    with pytest.raises(identity.StepUpRequired):
        sessions.require_recent(user, now=LATE)


def test_identity_of_somebody_else_confirms_nothing() -> None:
    sign_in()
    user = signed_in_user()

    with pytest.raises(IdentityRefused):
        social.confirm(actor=user, identity=again(proved_at=LATE), now=LATE)

    assert Session.objects.filter(confirmed_at__isnull=False).count() == 0


def test_code_of_ours_is_good_for_its_time_provider_and_verifier() -> None:
    challenge = social_codes.challenge_of("v" * 43)
    code = social_codes.issue(AMINA, now=NOW, lifetime=timedelta(seconds=60), challenge=challenge)
    assert "amina" not in code.lower()

    def redeem(code: str = code, **given: Any) -> Identity:
        values = {"provider": "google", "verifier": "v" * 43, "now": NOW + timedelta(seconds=60), **given}
        return social_codes.redeem(code, **values)

    assert redeem() == AMINA
    for wrong in (
        {"provider": "apple"},
        {"verifier": ""},
        {"verifier": "w" * 43},
        {"now": NOW + timedelta(seconds=61)},
        {"code": code[:-2]},
        {"code": "x"},
        {"code": "é"},
    ):
        with pytest.raises(IdentityRefused):
            redeem(**wrong)


def test_account_without_a_password_has_no_password_to_guess() -> None:
    user = sign_in().user
    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=user.username, password="", device=DEVICE, now=NOW)
    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=user.username, password=user.password, device=DEVICE, now=NOW)


def test_suspending_ends_what_an_identity_opened() -> None:
    signed_in = sign_in()
    identity.suspend(actor=SYSTEM, user=signed_in.user, reason="Fraud", now=NOW)

    assert Session.objects.filter(revoked_at=None).count() == 0
    with pytest.raises(identity.InvalidCredentials):
        sign_in(again())
