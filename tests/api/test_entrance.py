"""At the door of every kind of request: blocked addresses, TLS, and the headers of every answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from django.utils import timezone

from backend.accounts.models import User
from backend.core import firewall as judging
from backend.core.access import SYSTEM
from backend.core.models import FirewallRule
from backend.identity import firewall
from tests.admin_site.world import signed_in, staff
from tests.api.client import ApiClient
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


def rule(network: str, *, door: str = "api", effect: str = "block") -> FirewallRule:
    given: dict[str, Any] = {"own_address": None, "now": timezone.now(), "reason": "Scraping"}
    return firewall.add(actor=SYSTEM, network=network, door=door, effect=effect, **given)


def status(path: str, client: Client | None = None, **given: Any) -> int:
    with closing((client or Client()).get(path, **given)) as answer:
        return int(answer.status_code)


def test_a_blocked_address_gets_a_problem_whatever_it_asks_for() -> None:
    listing, user = make_listing(), ApiClient(make_user())
    rule("127.0.0.0/8")

    answers = [
        anyone.get("/api/properties/"),
        anyone.get(f"/api/properties/{listing.pk}/"),
        anyone.post("/api/login/", {"username": "x", "password": "y"}),
        anyone.get("/api/docs"),
        anyone.get("/api/nothing/"),
        user.get("/api/profile/"),
        user.request("OPTIONS", "/api/profile/", access_control_request_method="GET"),
    ]

    for answer in answers:
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
        document = answer.json()
        assert (document["code"], document["status"]) == ("address_blocked", 403)
        assert document["request_id"] == answer["X-Request-ID"]
    FirewallRule.objects.all().delete()
    judging.forget()
    assert user.get("/api/profile/").status_code == 200


def test_the_back_office_stays_open_to_who_is_blocked_at_the_api() -> None:
    boss = signed_in(staff("admin"))
    rule("127.0.0.1")

    assert status("/admin/", boss) == 200
    assert status("/static/admin_site/back-office.css", boss) == 200
    assert status("/api/properties/") == 403
    assert status("/media/x.jpg") == 403


def test_the_back_office_turns_away_who_is_not_listed_with_a_plain_page() -> None:
    boss = signed_in(staff("admin"))
    rule("203.0.113.0/24", door="admin", effect="allow")

    answer = boss.get("/admin/")

    assert (answer.status_code, answer["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert "Requests from your network are not accepted." in answer.content.decode()
    assert "Karibu" not in answer.content.decode()
    for path in ("/admin", "/admin/login/", "/admin/accounts/user/", "/admin/jsi18n/"):
        assert status(path, boss) == 403
    assert status("/api/properties/") == 200
    assert status("/static/admin_site/back-office.css") == 200


def test_who_is_out_at_both_doors_gets_no_file_either() -> None:
    rule("127.0.0.1", door="both")

    for path in ("/static/admin_site/back-office.css", "/media/x.jpg", "/", "/graphql/", "/admin/"):
        assert status(path) == 403


def test_health_checks_and_providers_come_in_always() -> None:
    rule("0.0.0.0/0", door="both")

    assert status("/health/live") == 200
    assert status("/health/ready") in (200, 503)
    assert status("/metrics") == 200
    assert anyone.post("/api/webhooks/sandbox/", {}).status_code == 400
    assert anyone.post("/api/webhooks/stripe/", {}).status_code == 404


@override_settings(TRUSTED_PROXIES=["127.0.0.1"])
def test_the_address_is_what_trusted_proxies_say() -> None:
    rule("203.0.113.0/24")

    assert status("/api/properties/", headers={"x-forwarded-for": "203.0.113.7"}) == 403
    assert status("/api/properties/", headers={"x-forwarded-for": "198.51.100.1, 203.0.113.7"}) == 403
    assert status("/api/properties/", headers={"x-forwarded-for": "203.0.113.7, 198.51.100.1"}) == 200


def test_a_forged_header_lets_nobody_in_and_shuts_nobody_out() -> None:
    rule("203.0.113.0/24")
    assert (
        status("/api/properties/", headers={"x-forwarded-for": "203.0.113.7", "x-real-ip": "203.0.113.7"})
        == 200
    )

    rule("127.0.0.1")
    for name in (
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "client-ip",
        "true-client-ip",
        "cf-connecting-ip",
    ):
        assert status("/api/properties/", headers={name: "198.51.100.1"}) == 403


def test_a_rule_counts_on_a_running_server_within_a_second_and_again_when_it_is_gone(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.get("/api/properties/").status_code == 200

        made = rule("127.0.0.0/8")
        wait_for(lambda: client.get("/api/properties/").status_code == 403)
        refused = client.get("/api/properties/")
        assert refused.json()["code"] == "address_blocked"
        assert client.get("/health/live").status_code == 200
        made.delete()
        wait_for(lambda: client.get("/api/properties/").status_code == 200)


def wait_for(condition: Callable[[], bool]) -> None:
    """Up to two seconds."""
    deadline = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SECURE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize(
    "path",
    [
        "/api/properties/",
        "/api/nothing/",
        "/api/docs",
        "/admin/login/",
        "/admin/",
        "/nothing",
        "/health/live",
    ],
)
def test_every_answer_says_what_browsers_may_do(path: str) -> None:
    answer = Client().get(path)

    assert {name: answer[name] for name in SECURE} == SECURE
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Permissions-Policy"].startswith("accelerometer=(), camera=()")
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert "unsafe-inline' 'unsafe" not in answer["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer


@pytest.mark.parametrize(
    "path", ["/api/profile/", "/api/profile/sessions/", "/api/bookings/", "/api/payments/"]
)
def test_nothing_of_a_person_is_kept_on_the_way(path: str) -> None:
    answer = ApiClient(make_user()).get(path)

    assert answer.status_code == 200
    assert answer["Cache-Control"] in ("no-store", "private, no-cache")


def test_tokens_are_never_kept() -> None:
    body = {"username": "ann_1", "email": "ann@example.com", "password": "correct-horse-9"}
    made = anyone.post("/api/register/", body)
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")

    again = anyone.post("/api/token/refresh/", {"refresh": made.json()["refresh"]})
    assert (again.status_code, again["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize(
    ("name", "content_type", "disposition"),
    [
        ("a.jpg", "image/jpeg", 'inline; filename="a.jpg"'),
        ("a.webp", "image/webp", 'inline; filename="a.webp"'),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a", "application/octet-stream", "attachment"),
    ],
)
def test_uploads_are_shown_as_pictures_or_not_at_all(
    name: str, content_type: str, disposition: str | None
) -> None:
    stored = default_storage.save(f"{uuid.uuid4().hex}/{name}", ContentFile(b"<script>alert(1)</script>"))
    try:
        with closing(Client().get(f"/media/{stored}")) as answer:
            assert answer.status_code == 200
            assert (answer["Content-Type"], answer.get("Content-Disposition")) == (content_type, disposition)
            assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
    finally:
        default_storage.delete(stored)


FRONT = "https://front.example"


@override_settings(CORS_ORIGINS=[FRONT])
@pytest.mark.parametrize("kind", ["blocked", "unknown", "unauthenticated", "ok"])
def test_the_front_end_can_read_every_answer(kind: str) -> None:
    if kind == "blocked":
        rule("127.0.0.1")
    path = {"unknown": "/api/nothing/", "unauthenticated": "/api/profile/"}.get(kind, "/api/properties/")

    answer = anyone.get(path, origin=FRONT)

    assert answer["Access-Control-Allow-Origin"] == FRONT
    assert "Access-Control-Allow-Credentials" not in answer
    exposed = {name.strip() for name in answer["Access-Control-Expose-Headers"].split(",")}
    assert exposed >= {"ETag", "RateLimit", "RateLimit-Policy", "X-Request-ID", "Retry-After"}
    assert "Origin" in answer["Vary"]


@override_settings(CORS_ORIGINS=[FRONT])
@pytest.mark.parametrize(
    "origin",
    [
        *(
            "http://front.example",
            "https://front.example:8443",
            "https://front.example.",
            "https://FRONT.example",
        ),
        *(
            "https://front.example/",
            "https://a.front.example",
            "https://front.example@evil.example",
            "null",
            "*",
        ),
    ],
)
def test_no_other_page_can(origin: str) -> None:
    for answer in (
        anyone.get("/api/properties/", origin=origin),
        anyone.request("OPTIONS", "/api/properties/", origin=origin, access_control_request_method="POST"),
    ):
        assert "Access-Control-Allow-Origin" not in answer
        assert "Access-Control-Allow-Methods" not in answer


def test_a_body_that_is_refused_early_is_told_to_the_front_end_too(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(env={"CORS_ORIGINS": FRONT})
    url, body = f"{server.url}/api/login/", b" " * 2_000_000

    own = httpx.post(
        url, content=body, headers={"Origin": FRONT, "Content-Type": "application/json"}, timeout=20
    )
    other = httpx.post(url, content=body, headers={"Origin": "https://evil.example"}, timeout=20)

    assert (own.status_code, own.headers["Access-Control-Allow-Origin"]) == (413, FRONT)
    assert (own.headers["Vary"], own.headers["Cache-Control"]) == ("Origin", "no-store")
    assert own.headers["X-Content-Type-Options"] == "nosniff"
    assert other.status_code == 413
    assert "Access-Control-Allow-Origin" not in other.headers


PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "a key of some length that nobody but this very test has ever seen",
    "PUBLIC_URL": "https://karibu.example",
    "ALLOWED_HOSTS": "karibu.example",
    "TRUSTED_PROXIES": "127.0.0.1",
}
OVER_TLS = {"Host": "karibu.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
IN_THE_CLEAR = {**OVER_TLS, "X-Forwarded-Proto": "http"}


def test_production_behind_its_proxy(start_server: Callable[..., Server]) -> None:
    server = start_server(env=PRODUCTION)
    body = {"username": "ann_1", "email": "ann@example.com", "password": "correct-horse-9"}
    with httpx.Client(base_url=server.url, timeout=20) as client:
        over_tls = client.get("/api/properties/", headers=OVER_TLS)
        assert over_tls.status_code == 200
        assert over_tls.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"

        read = client.get("/api/properties/", headers=IN_THE_CLEAR)
        assert (read.status_code, read.headers["Location"]) == (301, "https://karibu.example/api/properties/")
        assert "Strict-Transport-Security" not in read.headers
        sent = client.post("/api/register/", json=body, headers=IN_THE_CLEAR)
        assert (sent.status_code, sent.json()["code"]) == (403, "https_required")
        assert not User.objects.exists()
        # A balancer asks each machine by its address.
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code in (200, 503)
        assert client.get("/api/properties/", headers={**OVER_TLS, "Host": "10.0.0.7"}).status_code == 400

        # The example front end is for developers.
        demo = [
            client.get(f"/demo/{name}", headers=OVER_TLS).status_code for name in ("", "app.js", "style.css")
        ]
        assert demo == [404, 404, 404]

        login = client.get("/admin/login/?next=/admin/", headers=OVER_TLS)
        cookie = login.headers["Set-Cookie"]
        assert cookie.startswith("__Host-csrftoken=")
        assert {part.strip() for part in cookie.split(";")[1:]} >= {
            "HttpOnly",
            "Path=/",
            "SameSite=Lax",
            "Secure",
        }
        assert "Domain" not in cookie
        assert client.post("/api/register/", json=body, headers=OVER_TLS).status_code == 201


def test_production_believes_nobody_else_that_a_request_was_safe(start_server: Callable[..., Server]) -> None:
    server = start_server(env={**PRODUCTION, "TRUSTED_PROXIES": "192.0.2.1"})

    answer = httpx.get(f"{server.url}/api/properties/", headers=OVER_TLS, timeout=20)

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://karibu.example/api/properties/")
