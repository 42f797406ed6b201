"""What every contract test needs: people made through the API, and readers that insist on the agreed forms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.http import HttpResponse

from tests.api.client import ApiClient

PASSWORD = "correct-horse-9"
FIVE = {
    "title": "Flat over the river",
    "description": "Two rooms and a balcony.",
    "price_per_night": 100,
    "location": "Lisbon, Portugal",
    "availability": True,
}
"""What is enough to make a listing."""

_numbers = count(1)


class Person(ApiClient):
    """Somebody with an account, signed in; ``account`` is what registration answered."""

    account: dict[str, Any]


def register(role: str | None = None, **fields: Any) -> Person:
    """Somebody new."""
    name = f"person_{next(_numbers)}"
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **fields}
    person = Person()
    answer = person.post("/api/register/", account if role is None else {**account, "role": role})
    person.account = body(answer, 201)
    person.token = person.account["token"]
    return person


def sign_in_again(person: Person) -> None:
    """A fresh access token for somebody, for after the clock was moved."""
    login = {"username": person.account["username"], "password": PASSWORD}
    person.token = body(ApiClient().post("/api/login/", login))["token"]


def body(answer: HttpResponse, status: int = 200) -> Any:
    """The JSON of an answer with this status."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].startswith("application/json"), answer["Content-Type"]
    return json.loads(answer.content)


def exact(answer: HttpResponse) -> Any:
    """The JSON of an answer with numbers as they were written: ``int``, or ``Decimal`` with its places."""
    return json.loads(answer.content, parse_float=Decimal)


def refused(answer: HttpResponse, status: int, code: str | None = None, field: str | None = None) -> Any:
    """The problem in an answer, after looking at all that every problem must have.

    With ``field``, the code is that of the one error which names the field.
    """
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].split(";")[0] == "application/problem+json"
    problem = json.loads(answer.content)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert problem["request_id"] == answer["X-Request-ID"]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", problem["code"]), problem["code"]
    if status == 422:
        assert isinstance(problem["errors"], list)
        for error in problem["errors"]:
            assert set(error) >= {"field", "code", "message"}
    if field is not None:
        codes = [error["code"] for error in problem["errors"] if error["field"] == field]
        assert len(codes) == 1, problem
        assert code is None or codes == [code], problem
    elif code is not None:
        codes = [problem["code"], *(error["code"] for error in problem.get("errors", []))]
        assert code in codes, problem
    return problem


def rows(answer: HttpResponse) -> list[Any]:
    """The results of a list, after looking at the envelope."""
    envelope = body(answer)
    assert set(envelope) == {"count", "count_is_exact", "next", "previous", "results"}
    assert isinstance(envelope["count"], int)
    assert isinstance(envelope["count_is_exact"], bool)
    return list(envelope["results"])


def path_of(url: str) -> str:
    """The path and query of an absolute URL (or the same, when it is relative)."""
    return re.sub(r"^https?://[^/]+", "", url)


def instants(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All strings below names that end in ``_at`` (or are ``at`` or ``until``)."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from instants(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from instants(each, name)
    elif isinstance(value, str) and (name.endswith("_at") or name in ("at", "until")):
        yield name, value


def assert_instants(value: Any) -> None:
    """Every instant in ``value`` is RFC 3339 in UTC with ``Z``."""
    for name, text in instants(value):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text), (name, text)


def list_a_place(host: ApiClient, **fields: Any) -> dict[str, Any]:
    """A new listing of five fields and whatever else."""
    return dict(body(host.post("/api/properties/", {**FIVE, **fields}), 201))


def today() -> date:
    """Today in UTC."""
    return datetime.now(UTC).date()


def stay(ahead: int = 60, nights: int = 2) -> dict[str, str]:
    """Dates of a stay that begins so many days from today."""
    first = today() + timedelta(days=ahead)
    return {"check_in": first.isoformat(), "check_out": (first + timedelta(days=nights)).isoformat()}


def monday(ahead: int = 60) -> date:
    """The first Monday at least so many days from today."""
    first = today() + timedelta(days=ahead)
    return first + timedelta(days=-first.weekday() % 7)


def book(guest: ApiClient, place: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A fresh booking."""
    wish = {"property_id": place["id"], **stay(), **fields}
    return dict(body(guest.post("/api/bookings/", wish), 201))


def pay(guest: ApiClient, booking: dict[str, Any], outcome: str = "succeed", **headers: str) -> HttpResponse:
    """The answer to paying with the sandbox."""
    return guest.post(
        f"/api/bookings/{booking['id']}/pay/", {"provider": "sandbox", "outcome": outcome}, **headers
    )


def confirmed(guest: ApiClient, place: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A paid and confirmed booking, as GET shows it."""
    booking = book(guest, place, **fields)
    body(pay(guest, booking))
    again = dict(body(guest.get(f"/api/bookings/{booking['id']}/")))
    assert again["status"] == "confirmed"
    return again


def run_due(at: datetime) -> dict[str, Any]:
    """What ``manage.py run_due`` prints with that clock."""
    from io import StringIO

    from django.core.management import call_command

    printed = StringIO()
    call_command("run_due", "--now", at.strftime("%Y-%m-%dT%H:%M:%SZ"), stdout=printed)
    return dict(json.loads(printed.getvalue()))


def check_books() -> tuple[Any, int]:
    """What ``manage.py check_books --json`` prints, and its exit code."""
    from io import StringIO

    from django.core.management import call_command

    printed, code = StringIO(), 0
    try:
        call_command("check_books", "--json", stdout=printed)
    except SystemExit as end:
        code = int(end.code or 0)
    return json.loads(printed.getvalue()), code
