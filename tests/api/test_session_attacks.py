"""What thieves of tokens try, against a running server: each door says 401, and what is whole goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from backend.accounts.models import Session, User
from backend.core.access import SYSTEM
from backend.identity import services as identity
from tests.conftest import Server
from tests.factories import PASSWORD, make_user
from tests.realtime.client import Live, ticket_for

pytestmark = pytest.mark.usefixtures("db")

NEW = "battery-staple-7"


def sign_in(server: Server, user: User, password: str = PASSWORD) -> dict[str, str]:
    login = {"username": user.username, "password": password}
    answer = httpx.post(f"{server.url}/api/login/", json=login, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def reads(server: Server, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.url}/api/profile/", headers=headers, trust_env=False).status_code


def refreshes(server: Server, token: str) -> httpx.Response:
    return httpx.post(f"{server.url}/api/token/refresh/", json={"refresh": token}, trust_env=False)


def opens(server: Server, ticket: str) -> int:
    """101 when a socket opens by the ticket, else the refusal."""
    try:
        with Live.open(server, ticket=ticket):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_refreshing_at_once_over_http_gives_all_the_same_successor(server: Server) -> None:
    stolen = sign_in(server, make_user(password=PASSWORD))["refresh"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refreshes(server, stolen), range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    successors = {answer.json()["refresh"] for answer in answers}
    assert len(successors) == 1
    assert Session.objects.get().refresh_number == 1
    spent = successors.pop()
    assert refreshes(server, spent).status_code == 200
    # The successor is spent: whoever comes with the first one again is a thief, or was robbed by one.
    assert refreshes(server, stolen).status_code == 401
    assert [refreshes(server, token).status_code for token in (spent, stolen)] == [401, 401]
    assert Session.objects.get().revoked_reason == "refresh_reused"
    assert [reads(server, answer.json()["token"]) for answer in answers[:2]] == [401, 401]


def test_tokens_that_were_tampered_with_open_nothing_and_end_nothing(server: Server) -> None:
    user, other = make_user(password=PASSWORD), make_user(password=PASSWORD)
    mine, theirs = sign_in(server, user), sign_in(server, other)
    said = jwt.decode(mine["token"], options={"verify_signature": False})
    foreign = jwt.decode(theirs["token"], options={"verify_signature": False})
    key = settings.SECRET_KEY
    head, body, signature = mine["token"].split(".")
    forged = {
        "none": jwt.encode(said, None, algorithm="none"),
        "another key": jwt.encode(said, "another-key" * 8, algorithm="HS256"),
        "another algorithm": jwt.encode(said, key, algorithm="HS512"),
        "a key in the header": jwt.encode(
            said,
            "mine" * 16,
            algorithm="HS256",
            headers={"jwk": {"kty": "oct", "k": "bWluZQ"}, "kid": "../dev/null"},
        ),
        "another's body": ".".join((head, theirs["token"].split(".")[1], signature)),
        "no signature": f"{head}.{body}.",
        "another user in this session": jwt.encode({**said, "sub": foreign["sub"]}, key, algorithm="HS256"),
        "another's session": jwt.encode({**said, "sid": foreign["sid"]}, key, algorithm="HS256"),
        "another issuer": jwt.encode({**said, "iss": "elsewhere"}, key, algorithm="HS256"),
        "another kind": jwt.encode({**said, "typ": "refresh"}, key, algorithm="HS256"),
        "no end": jwt.encode({name: said[name] for name in said if name != "exp"}, key, algorithm="HS256"),
        "refresh as access": mine["refresh"],
    }

    assert reads(server, jwt.encode(said, key, algorithm="HS256")) == 200  # that it is the right key
    assert {name: reads(server, token) for name, token in forged.items()} == dict.fromkeys(forged, 401)
    middle = len(theirs["refresh"]) // 2
    flipped = "A" if theirs["refresh"][middle] != "A" else "B"
    for refresh in (
        mine["token"],
        theirs["refresh"][:middle] + flipped + theirs["refresh"][middle + 1 :],
        mine["refresh"][:22] + theirs["refresh"][22:],
        "",
    ):
        assert refreshes(server, refresh).status_code in (401, 422)
    assert [reads(server, one["token"]) for one in (mine, theirs)] == [200, 200]
    assert [refreshes(server, one["refresh"]).status_code for one in (mine, theirs)] == [200, 200]


ENDS: dict[str, Callable[[User, httpx.Client], object]] = {
    "signed out": lambda user, client: client.post("/api/logout/"),
    "suspended": lambda user, client: identity.suspend(
        actor=SYSTEM, user=user, reason="Fraud", now=timezone.now()
    ),
    "inactive": lambda user, client: User.objects.filter(pk=user.pk).update(is_active=False),
    "erased": lambda user, client: client.request("DELETE", "/api/profile/", json={"password": PASSWORD}),
    "deleted": lambda user, client: User.objects.filter(pk=user.pk).delete(),
    "password changed elsewhere": lambda user, client: identity.change_password(
        actor=User.objects.get(pk=user.pk),
        current=PASSWORD,
        new=NEW,
        device=identity.Device("127.0.0.1", "elsewhere"),
        now=timezone.now(),
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_an_account_or_a_session_ends_all_that_came_of_it(server: Server, end: str) -> None:
    user = make_user(password=PASSWORD)
    mine = sign_in(server, user)
    ticket = ticket_for(user)
    session = jwt.decode(mine["token"], options={"verify_signature": False})["sid"]
    headers = {"Authorization": f"Bearer {mine['token']}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        own = client.post("/api/realtime/ticket/").json()["ticket"]
        assert reads(server, mine["token"]) == 200

        ENDS[end](user, client)

    assert reads(server, mine["token"]) == 401
    assert refreshes(server, mine["refresh"]).status_code == 401
    assert opens(server, own) == 401
    # What another session of the same user has ends with the account, not with a sign-out of this one.
    assert opens(server, ticket) == (101 if end == "signed out" else 401)
    living = Session.objects.filter(
        pk=session, revoked_at=None, user__is_active=True, user__suspended_at=None
    )
    assert not living.exists()


def test_a_ticket_opens_one_socket_and_no_api(server: Server) -> None:
    ticket = ticket_for(make_user(password=PASSWORD))

    assert reads(server, ticket) == 401
    assert refreshes(server, ticket).status_code == 401
    assert [opens(server, ticket), opens(server, ticket)] == [101, 401]
