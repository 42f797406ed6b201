"""Sessions: one query tells who asks, and whatever ends one is felt at the next request."""

from __future__ import annotations

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import jwt
import pytest
from django.conf import settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Session
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from backend.core.errors import NotFound, Unauthenticated
from backend.identity import services as identity
from backend.identity import tokens
from backend.identity.services import Device, RefreshRefused, SignedIn
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

DEVICE = Device("198.51.100.7", "Firefox")


def signed_in(now: datetime = NOW) -> SignedIn:
    return identity.register(
        username="anna", email="anna@example.com", password="correct-horse-9", device=DEVICE, now=now
    )


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def resigned(
    token: str, key: str | None = settings.SECRET_KEY, algorithm: str = "HS256", **changed: object
) -> str:
    values = {name: value for name, value in {**claims(token), **changed}.items() if value is not None}
    return jwt.encode(values, key, algorithm=algorithm)


def test_authenticate_answers_user_session_roles_and_language_in_one_query() -> None:
    anna = signed_in()
    anna.user.profile.language = "sw"
    anna.user.profile.save()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        user = identity.authenticate(token=anna.access, now=NOW + timedelta(minutes=5))
        assert (user.pk, user.username, user.session_id) == (anna.user.pk, "anna", anna.user.session_id)
        assert user.roles == {"guest", "host"}
        assert user.has_role("host")
        assert identity.preferences_language(user) == "sw"

    assert len(queries) == 1


def test_authenticate_gives_a_user_that_can_be_saved_and_compared() -> None:
    anna = signed_in()

    user = identity.authenticate(token=anna.access, now=NOW)
    user.first_name = "Anna"
    user.save()

    anna.user.refresh_from_db()
    assert anna.user.first_name == "Anna"
    assert user == anna.user


def test_authenticate_notes_the_use_at_most_once_a_minute() -> None:
    anna = signed_in()

    seen = []
    for seconds in (30, 61, 90, 121, 122):
        identity.authenticate(token=anna.access, now=NOW + timedelta(seconds=seconds))
        seen.append((Session.objects.get().last_used_at - NOW).total_seconds())

    assert seen == [0, 61, 61, 61, 122]


def test_authenticate_does_not_wait_for_a_locked_session() -> None:
    anna = signed_in()
    later = NOW + timedelta(minutes=5)
    locker = connections.create_connection("default")
    locker.set_autocommit(False)
    try:
        with locker.cursor() as cursor:
            cursor.execute("SELECT 1 FROM sessions FOR UPDATE")

        assert identity.authenticate(token=anna.access, now=later).pk == anna.user.pk
    finally:
        locker.rollback()
        locker.close()

    assert Session.objects.get().last_used_at == NOW


def test_authenticate_ends_with_the_ten_minutes_of_the_token() -> None:
    anna = signed_in()

    identity.authenticate(token=anna.access, now=NOW + timedelta(minutes=9, seconds=59))
    with pytest.raises(Unauthenticated):
        identity.authenticate(token=anna.access, now=NOW + timedelta(minutes=10))


def test_access_token_says_whose_and_which_session() -> None:
    anna = signed_in()

    said = claims(anna.access)

    assert set(said) == {"exp", "iat", "iss", "aud", "sub", "sid", "jti", "typ"}
    assert (said["sub"], said["sid"]) == (str(anna.user.pk), anna.user.session_id.hex)  # type: ignore[union-attr]
    assert (said["iss"], said["aud"], said["typ"]) == (settings.PUBLIC_URL, "karibu", "access")
    assert jwt.get_unverified_header(anna.access)["alg"] == "HS256"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "somebody-else"},
        {"typ": "refresh"},
        {"typ": None},
        {"jti": None},
        {"sid": None},
        {"sid": "nonsense"},
        {"sid": 7},
        {"sid": "0f8c4f5d3ab74b0f9d4c1c9c8a3e7b21"},
        {"sub": None},
        {"sub": "1 OR 1=1"},
        {"sub": "999999"},
        {"sub": "99999999999999999999999"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**30},
        {"iat": None},
    ],
    ids=str,
)
def test_authenticate_refuses_a_token_with_other_claims_though_signed_with_our_key(
    changed: dict[str, object],
) -> None:
    anna = signed_in()
    assert identity.authenticate(token=resigned(anna.access), now=NOW).pk == anna.user.pk

    with pytest.raises(Unauthenticated):
        identity.authenticate(token=resigned(anna.access, **changed), now=NOW)


def test_authenticate_refuses_other_keys_and_algorithms() -> None:
    anna = signed_in()
    forged = [
        resigned(anna.access, "another-key-that-is-long-enough-for-hmac-sha-512-and-then-some-more"),
        resigned(anna.access, None, "none"),
        resigned(anna.access, settings.SECRET_KEY, "HS512"),
        resigned(anna.access, settings.SECRET_KEY, "HS384"),
    ]

    for token in forged:
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=token, now=NOW)


def test_authenticate_refuses_an_altered_token() -> None:
    anna = signed_in()
    head, body, signature = anna.access.split(".")
    padded = body + "=" * (-len(body) % 4)
    other = {**json.loads(base64.urlsafe_b64decode(padded)), "sub": "1000"}
    altered = base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("=")

    for token in (
        f"{head}.{altered}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "",
        "a.b.c",
        "é.ü.ö",
        "x" * 9000,
    ):
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=token, now=NOW)


def test_authenticate_refuses_refresh_tokens_and_refresh_refuses_access_tokens() -> None:
    anna = signed_in()

    with pytest.raises(Unauthenticated):
        identity.authenticate(token=anna.refresh, now=NOW)
    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.access, now=NOW)

    assert Session.objects.get().revoked_at is None


def test_refresh_rotates_and_moves_the_end_of_the_session() -> None:
    anna = signed_in()
    later = NOW + timedelta(days=20)

    following = identity.refresh(token=anna.refresh, now=later)

    assert following.refresh != anna.refresh
    assert following.user == anna.user
    assert identity.authenticate(token=following.access, now=later).session_id == anna.user.session_id
    session = Session.objects.get()
    assert (session.refresh_number, session.expires_at) == (1, later + timedelta(days=30))


def test_refresh_ends_after_thirty_days_without_use() -> None:
    anna = signed_in()

    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW + timedelta(days=30))


def test_refresh_gives_the_same_successor_within_ten_seconds() -> None:
    anna = signed_in()
    first = identity.refresh(token=anna.refresh, now=NOW)

    again = identity.refresh(token=anna.refresh, now=NOW + timedelta(seconds=10))

    assert again.refresh == first.refresh
    assert identity.refresh(token=first.refresh, now=NOW + timedelta(seconds=11)).refresh != first.refresh


def test_refresh_reused_after_ten_seconds_ends_the_session() -> None:
    anna = signed_in()
    following = identity.refresh(token=anna.refresh, now=NOW)
    late = NOW + timedelta(seconds=11)

    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=late)

    with pytest.raises(RefreshRefused):
        identity.refresh(token=following.refresh, now=late)
    for access in (anna.access, following.access):
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=access, now=late)
    session = Session.objects.get()
    assert (session.revoked_at, session.revoked_reason) == (late, "refresh_reused")
    assert AuditEntry.objects.filter(action="session.ended", object_id=str(session.pk)).count() == 1


def test_refresh_reused_within_ten_seconds_ends_the_session_once_the_successor_is_spent() -> None:
    anna = signed_in()
    second = identity.refresh(token=anna.refresh, now=NOW)
    third = identity.refresh(token=second.refresh, now=NOW + timedelta(seconds=1))

    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW + timedelta(seconds=2))

    with pytest.raises(RefreshRefused):
        identity.refresh(token=third.refresh, now=NOW + timedelta(seconds=3))


def test_refresh_recognises_very_old_tokens() -> None:
    anna = signed_in()
    newest = anna
    for hour in range(5):
        newest = identity.refresh(token=newest.refresh, now=NOW + timedelta(hours=hour))

    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW + timedelta(hours=6))

    assert Session.objects.get().revoked_reason == "refresh_reused"


def test_refresh_with_a_forged_token_is_refused_and_ends_nothing() -> None:
    anna = signed_in()
    session = Session.objects.get()
    raw = base64.urlsafe_b64decode(anna.refresh + "=" * (-len(anna.refresh) % 4))
    guessed = base64.urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode().rstrip("=")
    other_secret = tokens.refresh_token(session_id=session.pk, secret=b"x" * 32, number=0)

    for token in (guessed, other_secret, "", "nonsense", "é", anna.refresh[:-4], "A" * 5000):
        with pytest.raises(RefreshRefused):
            identity.refresh(token=token, now=NOW)

    assert identity.refresh(token=anna.refresh, now=NOW).user == anna.user


def test_refresh_of_one_session_is_worth_nothing_for_another() -> None:
    anna = signed_in()
    other = identity.sign_in(login="anna", password="correct-horse-9", device=DEVICE, now=NOW)
    raw = base64.urlsafe_b64decode(anna.refresh + "=" * (-len(anna.refresh) % 4))
    swapped = base64.urlsafe_b64encode(other.user.session_id.bytes + raw[16:]).decode().rstrip("=")  # type: ignore[union-attr]

    with pytest.raises(RefreshRefused):
        identity.refresh(token=swapped, now=NOW)

    assert Session.objects.filter(revoked_at=None).count() == 2


def test_refresh_in_parallel_gives_all_the_same_successor_and_rotates_once() -> None:
    anna = signed_in()

    def run(_number: int) -> str:
        try:
            return identity.refresh(token=anna.refresh, now=NOW).refresh
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as threads:
        successors = list(threads.map(run, range(24)))

    assert len(set(successors)) == 1
    session = Session.objects.get()
    assert (session.refresh_number, session.revoked_at) == (1, None)


def test_refresh_is_refused_to_the_suspended_and_the_inactive() -> None:
    anna = signed_in()
    identity.suspend(actor=SYSTEM, user=anna.user, reason="Fraud", now=NOW)
    identity.restore(actor=SYSTEM, user=anna.user, now=NOW)

    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW)

    bert = identity.sign_in(login="anna", password="correct-horse-9", device=DEVICE, now=NOW)
    bert.user.is_active = False
    bert.user.save()
    with pytest.raises(RefreshRefused):
        identity.refresh(token=bert.refresh, now=NOW)
    with pytest.raises(Unauthenticated):
        identity.authenticate(token=bert.access, now=NOW)


def test_sign_out_kills_both_tokens_at_once_and_only_of_this_session() -> None:
    anna = signed_in()
    elsewhere = identity.sign_in(login="anna", password="correct-horse-9", device=DEVICE, now=NOW)

    identity.sign_out(session_id=anna.user.session_id, now=NOW)  # type: ignore[arg-type]

    with pytest.raises(Unauthenticated):
        identity.authenticate(token=anna.access, now=NOW)
    with pytest.raises(RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW)
    assert identity.authenticate(token=elsewhere.access, now=NOW).pk == anna.user.pk


def test_end_session_ends_ones_own_and_knows_no_foreign_one() -> None:
    anna = signed_in()
    elsewhere = identity.sign_in(login="anna", password="correct-horse-9", device=DEVICE, now=NOW)
    session_id = elsewhere.user.session_id
    assert session_id is not None

    with pytest.raises(NotFound):
        identity.end_session(actor=make_user(), session_id=session_id, now=NOW)
    assert identity.authenticate(token=elsewhere.access, now=NOW).pk == anna.user.pk

    identity.end_session(actor=anna.user, session_id=session_id, now=NOW)
    with pytest.raises(Unauthenticated):
        identity.authenticate(token=elsewhere.access, now=NOW)
    with pytest.raises(NotFound):
        identity.end_session(actor=anna.user, session_id=session_id, now=NOW)


def test_living_tells_ended_lapsed_and_suspended_sessions_from_the_rest() -> None:
    anna = signed_in()
    second = identity.sign_in(login="anna", password="correct-horse-9", device=DEVICE, now=NOW)
    ids = [anna.user.session_id, second.user.session_id, uuid.uuid4()]
    assert identity.living(ids, now=NOW) == set(ids[:2])  # type: ignore[arg-type]

    identity.sign_out(session_id=ids[1], now=NOW)  # type: ignore[arg-type]
    assert identity.living(ids, now=NOW) == {ids[0]}  # type: ignore[arg-type]
    assert identity.living(ids, now=NOW + timedelta(days=31)) == set()  # type: ignore[arg-type]
    identity.suspend(actor=SYSTEM, user=anna.user, reason="Fraud", now=NOW)
    assert identity.living(ids, now=NOW) == set()  # type: ignore[arg-type]


def test_purge_deletes_what_ended_long_ago() -> None:
    anna = signed_in()
    second = identity.sign_in(
        login="anna", password="correct-horse-9", device=DEVICE, now=NOW + timedelta(days=40)
    )
    identity.sign_out(session_id=anna.user.session_id, now=NOW)  # type: ignore[arg-type]

    assert identity.purge(now=NOW + timedelta(days=29)) == 0
    assert identity.purge(now=NOW + timedelta(days=31)) == 1

    assert Session.objects.get().pk == second.user.session_id
