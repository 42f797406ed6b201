"""A browser that signs in through another site, over real HTTP from end to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.conftest import Server
from tests.fakes.identity_provider import IdentityProviderFake, environment


def test_browser_signs_in_through_google_facebook_and_apple(start_server: Callable[..., Server]) -> None:
    with IdentityProviderFake() as fake:
        server = start_server(env=environment(fake.url))
        with httpx.Client(base_url=server.url, trust_env=False) as browser:
            answers = [_sign_in(browser, provider) for provider in ("google", "facebook", "apple")]

    assert [status for status, _body in answers] == [200, 409, 200]
    # Google and Apple have verified the address, and so is ours by then; Facebook does not say.
    assert answers[0][1]["id"] == answers[2][1]["id"]
    assert answers[1][1]["code"] == "account_exists"


def _sign_in(browser: httpx.Client, provider: str) -> tuple[int, dict[str, object]]:
    answer = browser.get(f"/api/login/{provider}/start/", params={"next": "/welcome"})
    while answer.is_redirect and "/welcome" not in answer.headers["Location"]:
        answer = browser.get(answer.headers["Location"])
    if not answer.is_redirect:
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text))
        target = re.search(r'action="([^"]*)"', answer.text)
        assert target is not None
        answer = browser.post(target[1], data={name: unescape(value) for name, value in form.items()})
    arrived = urlsplit(answer.headers["Location"])
    assert arrived.path == "/welcome"
    (code,) = parse_qs(arrived.query)["code"]
    done = browser.post(f"/api/login/{provider}/", json={"code": code})
    return done.status_code, done.json()
