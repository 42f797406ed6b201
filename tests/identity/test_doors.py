"""There is no other door: every address of the project is tried, and only the named ones let anybody in.

The libraries that we stand on bring doors of their own (allauth's pages and headless API, ninja-jwt's controllers, Django's
own sign-in), some of which forget the second step or the suspended. None of them is mounted.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

import backend
from api.main import api
from backend.accounts.models import Session, User
from backend.core import platform
from backend.identity import mfa, social_codes, tokens
from backend.identity import services as identity
from backend.identity.social_providers import Identity
from backend.notifications import tickets
from tests.admin_site.world import staff
from tests.api.client import ApiClient
from tests.api.test_fuzz import named
from tests.factories import PASSWORD, make_user
from tests.identity.post import Post, secret_of
from tests.identity.test_mfa import code_at

ISSUING = {
    ("post", "/api/register/"),
    ("post", "/api/login/"),
    ("post", "/api/login/mfa/"),
    ("post", "/api/login/{provider}/"),
    ("post", "/api/token/refresh/"),
}
"""Operations whose answer holds tokens."""

OPENING = {
    "backend/identity/registration.py": {"register"},
    "backend/identity/signing_in.py": {"_admit"},
    "backend/identity/social.py": {"_register"},
}
"""Functions that open a session."""

OWN = ("api.", "admin_site.", "realtime.")
BORROWED = {
    "django.contrib.admin.options",
    "django.contrib.admin.sites",
    "django.contrib.contenttypes.views",
    "django.views.generic.base",
    "django.views.static",
    "ninja.openapi.views",
    "ninja.operation",
    "unfold.admin",
    "unfold.sites",
}
"""Modules of others whose views may be mounted: the back office's pages, files in development, Ninja's own."""


@cache
def operations() -> list[tuple[str, str, dict[str, Any]]]:
    schema = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return [
        (method, path, details)
        for path, methods in schema["paths"].items()
        for method, details in methods.items()
    ]


@cache
def schemas() -> dict[str, Any]:
    return dict(json.loads(json.dumps(api.get_openapi_schema(), default=str))["components"]["schemas"])


def mounted(
    resolver: URLResolver | None = None, prefix: str = "/"
) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every address of the project with its view."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from mounted(pattern, path)
        else:
            assert isinstance(pattern, URLPattern)
            yield path, pattern.callback


def module_of(view: Any) -> str:
    while hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    view = getattr(view, "view_class", getattr(view, "func", view))
    return str(getattr(view, "__module__", None) or type(view).__module__)


def _fields(schema: dict[str, Any], seen: tuple[str, ...] = ()) -> set[str]:
    """The names of all fields of a schema, however deep."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return set() if name in seen else _fields(schemas()[name], (*seen, name))
    found = set(schema.get("properties", {}))
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    inner += [each for kind in ("anyOf", "oneOf", "allOf") for each in schema.get(kind, [])]
    return found.union(*(_fields(each, seen) for each in inner if isinstance(each, dict)))


def test_document_names_the_operations_that_give_tokens() -> None:
    giving = {
        (method, path)
        for method, path, details in operations()
        for status, answer in details["responses"].items()
        if status < "300"
        for media in answer.get("content", {}).values()
        if {"token", "refresh", "access", "access_token", "refresh_token"} & _fields(media.get("schema", {}))
    }

    assert giving == ISSUING


def test_nothing_but_our_views_is_mounted() -> None:
    foreign = {
        (path, module_of(view))
        for path, view in mounted()
        if not module_of(view).startswith(OWN) and module_of(view) not in BORROWED
    }

    assert foreign == set()
    assert len(list(mounted())) > len(operations()) // 2


def test_no_door_of_a_library_is_mounted(db: None) -> None:
    libraries = ("allauth", "ninja_jwt", "ninja_extra", "guardian", "django.contrib.auth.views")
    assert [path for path, view in mounted() if module_of(view).startswith(libraries)] == []
    for path in (
        *("/accounts/login/", "/accounts/google/login/", "/accounts/signup/", "/accounts/password/reset/"),
        *(
            "/_allauth/app/v1/auth/login",
            "/_allauth/browser/v1/auth/session",
            "/api/token/",
            "/api/token/pair",
        ),
        *("/api/token/verify/", "/api/token/sliding/", "/login/", "/o/token/"),
    ):
        assert Client().post(path, {}).status_code in (404, 405), path


@pytest.fixture
def unlimited(db: None) -> None:
    for name in ("limit_sign_in_address", "limit_register_address", "limit_reads_address"):
        platform.put(name, 100_000)


def _named_path(path: str, details: dict[str, Any]) -> str:
    for parameter in details.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", 1)))
    return path


@pytest.mark.parametrize("caller", ["nobody", "somebody"])
def test_every_operation_but_the_named_ones_opens_no_session(unlimited: None, caller: str) -> None:
    """Each is sent what its document shows, in JSON, as a form, and with the name and password of somebody."""
    anna = make_user(password=PASSWORD)
    client = ApiClient(anna if caller == "somebody" else None)
    count = Session.objects.count()
    login = {"username": anna.username, "email": anna.email, "login": anna.username, "password": PASSWORD}

    for method, path, details in operations():
        if (method, path) in ISSUING or path == "/api/logout/":
            continue
        example = (
            details.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example", {})
        )
        bodies = [None] if method == "get" else [None, example, login, {**example, **login}]
        for url in {named(path), _named_path(path, details)}:
            for body in bodies:
                answer = client.request(method.upper(), url, body)
                gives_nothing(answer, f"{method} {path}")
            gives_nothing(Client().post(url, login), f"form {path}")
        assert Session.objects.count() == count, f"{method} {path}"


def gives_nothing(answer: Any, what: str) -> None:
    """No token of ours in the answer, its headers or its cookies."""
    text = b"" if answer.streaming else answer.content
    told = text.decode("utf-8", "replace") + str(answer.headers) + str(answer.cookies)
    assert "eyJ" not in told, what
    assert answer.cookies.get("sessionid") is None or not answer.cookies["sessionid"].value, what


def test_back_office_is_entered_by_its_own_form_alone(unlimited: None) -> None:
    """Somebody with a second step sends name and password, without the code, to every page that is not of the API."""
    admin = staff("admin")
    device, now = identity.Device("127.0.0.1", "tests"), timezone.now()
    secret = mfa.begin(actor=admin, now=now).secret
    mfa.confirm(actor=admin, code=code_at(secret, now), device=device, now=now)
    login = {"username": admin.username, "password": PASSWORD, "login": admin.email, "next": "/admin/"}

    for path, _view in mounted():
        url = _plain(path)
        if url.startswith("/api/"):
            continue
        browser = Client(raise_request_exception=False)
        browser.get(url)
        browser.post(url, login)
        assert "_auth_user_id" not in browser.session, url
    assert Session.objects.count() == 0


def _plain(path: str) -> str:
    """The address with 1 in place of each parameter."""
    path = re.sub(r"\(\?P<\w+>[^)]*\)", "1", path).replace("^", "").replace("$", "").replace("\\Z", "")
    return re.sub(r"<[^>]+>", "1", path)


def test_sessions_are_opened_by_the_named_functions_alone() -> None:
    """Whoever opens one has asked whether the account is open and whether a second step is needed."""
    assert _callers("open_session") == OPENING
    assert _callers("issue", of="tokens") == {"backend/identity/sessions.py": {"_signed_in"}}
    assert _callers("refresh_token") == {"backend/identity/sessions.py": {"_signed_in"}}
    assert _callers("for_user") == {}
    assert _callers("login", of="auth") == _callers("auth_login") == _callers("perform_login") == {}


@cache
def _calls() -> list[tuple[str, str, str, str]]:
    """File, function, and what it calls there: owner and name."""
    root = Path(backend.__file__).parent.parent
    found = []
    for package in ("backend", "api", "admin_site", "realtime"):
        for file in sorted((root / package).rglob("*.py")):
            for function in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
                    path = str(file.relative_to(root))
                    found += [(path, function.name, *_named_call(called)) for called in calls]
    return found


def _named_call(called: ast.expr) -> tuple[str, str]:
    if isinstance(called, ast.Attribute):
        return called.value.id if isinstance(called.value, ast.Name) else "", called.attr
    return "", called.id if isinstance(called, ast.Name) else ""


def _callers(name: str, of: str = "") -> dict[str, set[str]]:
    """File → functions that call ``name`` (of the module ``of``)."""
    found: dict[str, set[str]] = {}
    for path, function, owner, called in _calls():
        if called == name and of in ("", owner):
            found.setdefault(path, set()).add(function)
    return found


@pytest.fixture
def keys(db: None, tmp_path: Path, settings: Any) -> dict[str, str]:
    """All that the platform gives out to prove something, each fresh and good for its own door."""
    post = Post(tmp_path, settings)
    device, now = identity.Device("127.0.0.1", "tests"), timezone.now()
    made = identity.register(
        username="anna", email="anna@example.com", password=PASSWORD, device=device, now=now
    )
    (letter,) = post.mails()
    identity.ask_reset(email="anna@example.com", device=device, now=now)
    (reset,) = post.mails()
    second = make_user(password=PASSWORD)
    secret = mfa.begin(actor=second, now=now).secret
    mfa.confirm(actor=second, code=code_at(secret, now), device=device, now=now)
    with pytest.raises(identity.MfaRequired) as asked:
        identity.sign_in(login=second.username, password=PASSWORD, device=device, now=now)
    proven = Identity("google", "110", "amina@example.com", True, "Amina", "Otieno", "proof", now)
    return {
        "access": made.access,
        "refresh": made.refresh,
        "mfa": str(asked.value.extra["mfa_token"]),
        "social": social_codes.issue(proven, now=now, lifetime=social_codes.FOR_A_QUESTION),
        "reset": secret_of(reset, "token"),
        "email": secret_of(letter, "key"),
        "ticket": tickets.issue(user=made.user, session_id=made.user.session_id, now=now),
        "forged": tokens.issue(session_id=Session(user=made.user).pk, user_id=made.user.pk, now=now),
    }


DOORS: dict[str, Callable[[str], Any]] = {
    "access": lambda key: ApiClient(token=key).get("/api/profile/"),
    "refresh": lambda key: ApiClient().post("/api/token/refresh/", {"refresh": key}),
    "mfa": lambda key: ApiClient().post("/api/login/mfa/", {"mfa_token": key, "code": "000000"}),
    "social": lambda key: ApiClient().post("/api/login/google/", {"code": key}),
    "email": lambda key: ApiClient().post("/api/email/verify/", {"key": key}),
    "reset": lambda key: ApiClient().post(
        "/api/password/reset/confirm/", {"token": key, "new_password": "battery-staple-7"}
    ),
}


def test_each_key_fits_its_own_door_alone(keys: dict[str, str], settings: Any) -> None:
    settings.SOCIAL_APPS = {"google": {"client_id": "google-client", "secret": "google-secret"}}
    before = (Session.objects.count(), User.objects.count())
    for door, knock in DOORS.items():
        for name, key in keys.items():
            if name != door:
                assert knock(key).status_code in (401, 422), f"{name} at {door}"
                assert (Session.objects.count(), User.objects.count()) == before, f"{name} at {door}"

    fitting = {door: knock(keys[door]).status_code for door, knock in DOORS.items()}
    # The second step answers to the code, which is wrong: its key was taken.
    assert fitting == {"access": 200, "refresh": 200, "mfa": 422, "social": 200, "email": 204, "reset": 204}
