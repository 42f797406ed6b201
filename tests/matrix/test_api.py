"""Every operation of the API as everybody, on what is theirs, another's, missing, and below the wrong parent.

``api/access.py`` says who may; here everyone tries. What is foreign answers exactly like what is not there, and a
refusal changes no row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse

from api.access import ACCESS, ANYONE, KNOWN_TO, OWNER, SELF
from api.main import api
from backend.listings.cohosts import GRANTS
from tests.api.client import ApiClient
from tests.listings.pictures import drawn, encoded
from tests.matrix.requests import REQUESTS, USUAL, Case
from tests.matrix.tables import Tables
from tests.matrix.world import MISSING, NOWHERE, OWNERS, World, build

SCHEMA: Any = json.loads(json.dumps(api.get_openapi_schema(), default=str))
OPERATIONS: dict[str, tuple[str, str, Any]] = {
    details["operationId"]: (method.upper(), path, details)
    for path, methods in SCHEMA["paths"].items()
    for method, details in methods.items()
}
THERE = "there"
PICTURE = encoded(drawn((64, 48)))
TOLD = ("Content-Type", "WWW-Authenticate", "Cache-Control", "ETag", "Location", "Vary", "Allow")


DEALS, KEEPS = {"keeps_bookings", "keeps_two"}, {f"keeps_{grant}" for grant in GRANTS} | {"keeps_two"}
LISTS: dict[str, set[str]] = {
    "/api/bookings/": {"guest"},
    "/api/bookings/?as=host": {"host"} | DEALS,
    "/api/inquiries/": {"guest"},
    "/api/inquiries/?as=host": {"host"} | DEALS,
    "/api/conversations/": {"guest", "host", "keeps_messages"},
    "/api/conversations/?as=host": {"host", "keeps_messages"},
    "/api/blocks/": {"guest"},
    "/api/reviews/": {"guest", "host"} | DEALS,
    "/api/reviews/?about=by_me": {"guest", "host"} | DEALS,
    "/api/payments/": {"guest"},
    "/api/payments/?as=host": {"host", "keeps_payouts"},
    "/api/payouts/": {"host"},
    "/api/payout-accounts/": {"host"},
    "/api/disputes/": {"host"},
    "/api/documents/": {"guest"},
    "/api/host/properties/": {"host"} | KEEPS,
    "/api/host/promo-codes/": {"host"},
    "/api/host/api-keys/": {"host"},
    "/api/host/webhooks/": {"host"},
    "/api/profile/identities/": {"guest"},
    "/api/reports/": {"guest"},
    "/api/saved-searches/": {"guest"},
    "/api/wishlists/": {"guest"},
    "/api/profile/identity-checks/": {"guest"},
}
"""List → who finds something in it; staff see the whole in the back office, not here."""


REFUSED = (401, 403, 404)


@dataclass
class Matrix:
    """The built world, its tables as they were, and a client a person."""

    world: World
    tables: Tables
    clients: dict[str, ApiClient]
    missing: Any
    """What is told of something that is not there."""


@pytest.fixture(scope="module")
def matrix(db: None) -> Iterator[Matrix]:
    """One world for all tests here: what a request changes is put back after it."""
    world = build()
    tables = Tables()
    try:
        clients = {name: ApiClient(token=token) for name, token in world.tokens.items()}
        missing = clients["guest"].get(f"/api/bookings/{MISSING}/")
        assert missing.status_code == 404
        yield Matrix(world, tables, clients, _told(missing))
    finally:
        tables.drop()


def test_every_operation_has_a_rule_and_a_request() -> None:
    assert sorted(ACCESS) == sorted(OPERATIONS)
    assert sorted(REQUESTS) == sorted(OPERATIONS)


def test_openapi_shows_the_rules() -> None:
    shown = {name: details["x-access"] for name, (_method, _path, details) in OPERATIONS.items()}

    assert shown == {name: rule.document() for name, rule in ACCESS.items()}
    for name, (_method, _path, details) in OPERATIONS.items():
        is_open = details["security"] == [] or {} in details["security"]
        assert is_open == (ANYONE in ACCESS[name].may), name


def test_every_standing_that_may_is_tried(matrix: Matrix) -> None:
    somebody = set().union(*matrix.world.standings.values()) | {ANYONE, OWNER, SELF}

    assert {standing for rule in ACCESS.values() for standing in rule.may} <= somebody


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_operation(matrix: Matrix, operation: str) -> None:
    cache.clear()
    found: dict[tuple[str, ...], Any] = {}
    expected: dict[tuple[str, ...], Any] = {}
    dead = matrix.world.dead
    for number, case in enumerate(_cases(operation)):
        for variant, ids in _variants(matrix.world, operation, case):
            # A token that is worth nothing is refused before anything is looked for.
            actors = [name for name in matrix.clients if variant == THERE or name not in dead]
            statuses = {name: _expected(matrix.world, operation, case, variant, name) for name in actors}
            # Those who are refused come first, and what they changed together is looked for once.
            refused = [name for name in actors if statuses[name] in REFUSED]
            for actor in [*refused, *(name for name in actors if name not in refused)]:
                key = (f"{number}:{variant}", actor)
                answer = _send(matrix, operation, case, ids, actor)
                wrongs = _wrongs(matrix, case, answer)
                if actor not in refused:
                    _put_back(matrix)
                elif actor == refused[-1]:
                    wrongs += [f"one of them changed {name}" for name in _put_back(matrix)]
                expected[key], found[key] = (statuses[actor], []), (answer.status_code, wrongs)
    assert {key: value for key, value in found.items() if value != expected[key]} == {}
    assert found == expected


def test_lists_hold_only_what_is_for_the_caller(matrix: Matrix) -> None:
    cache.clear()
    world = matrix.world
    living = [name for name in matrix.clients if name not in world.dead and name != "anonymous"]
    found: dict[str, set[str]] = {}
    for path in LISTS:
        found[path] = set()
        for actor in living:
            answer = matrix.clients[actor].get(path)
            if answer.status_code == 403:
                continue
            assert answer.status_code == 200, (path, actor)
            if answer.json()["count"]:
                found[path].add(actor)

    assert found == LISTS
    for actor in living:
        mine = world.people[actor].notifications.values_list("pk", flat=True)
        listed = matrix.clients[actor].get("/api/notifications/?page_size=20").json()["results"]
        assert {row["id"] for row in listed} <= set(mine), actor
        sessions = matrix.clients[actor].get("/api/profile/sessions/").json()["results"]
        own = world.people[actor].sessions.filter(revoked_at=None).values_list("pk", flat=True)
        assert {row["id"] for row in sessions} == {str(pk) for pk in own}, actor


def _cases(operation: str) -> list[Case]:
    """The requests of an operation; where it is about a listing, also at one that is not offered."""
    cases = REQUESTS[operation]
    if ACCESS[operation].of != "listing":
        return cases
    first = cases[0]
    below = {name: thing for name, thing in _places(operation, first).items() if name != "property_id"}
    at = {"property_id": "hidden", **{name: f"hidden_{thing}" for name, thing in below.items()}}
    status = first.hidden or (409 if operation == "properties_delete_property" else first.status)
    return [*cases, replace(first, at=at, status=status)]


def _places(operation: str, case: Case) -> dict[str, str]:
    """Placeholder → the thing that stands there; ``=word`` is the word itself."""
    path = OPERATIONS[operation][1]
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    return {name: case.at[name] if name in case.at else USUAL[name] for name in names}


def _variants(world: World, operation: str, case: Case) -> list[tuple[str, dict[str, Any]]]:
    """What the things of a request are: there, missing, and another listing's in place of this one's."""
    things = [thing for thing in _places(operation, case).values() if not thing.startswith("=")]
    found = [(THERE, world.ids)]
    for position, thing in enumerate([*things, *case.refs]):
        nothing = NOWHERE if thing == "session" else MISSING
        kind = "missing" if position == 0 or thing in case.refs else "missing below"
        found.append((f"{kind} {thing}", {**world.ids, thing: nothing}))
        elsewhere = f"elsewhere_{thing.removeprefix('hidden_')}"
        if elsewhere in world.ids:
            found.append((f"missing below {thing}, elsewhere", {**world.ids, thing: world.ids[elsewhere]}))
    return found


def _standings(world: World, operation: str, case: Case, actor: str) -> set[str]:
    standings = set(world.standings[actor])
    things = list(_places(operation, case).values())
    if things and actor not in world.dead and OWNERS.get(things[-1], "host") == actor:
        standings.add(OWNER)
    if things and things[-1].endswith("cohost") and actor == "keeps_calendar":
        standings.add(SELF)
    return standings


def _expected(world: World, operation: str, case: Case, variant: str, actor: str) -> int:
    """The status that the policy demands."""
    rule, there = ACCESS[operation], variant == THERE
    standings = _standings(world, operation, case, actor)
    if not there:
        standings.discard(SELF)
    security = OPERATIONS[operation][2]["security"]
    if security == []:
        return case.status
    if actor in world.dead:
        return 401
    if actor == "anonymous" and {} not in security:
        return 401
    if variant.startswith("missing ") and not variant.startswith("missing below"):
        return 404
    kind = "hidden listing" if rule.of == "listing" and "hidden" in case.at.values() else rule.of
    if kind and not _holds(KNOWN_TO[kind], standings):
        return 404
    if not _holds(rule.may, standings) or standings & set(rule.never):
        return 403
    if case.only and not standings & case.only:
        return 403
    return case.unlike.get(actor, case.status) if there else 404


def _holds(wanted: tuple[str, ...], standings: set[str]) -> bool:
    return ANYONE in wanted or not standings.isdisjoint(wanted)


def _send(matrix: Matrix, operation: str, case: Case, ids: dict[str, Any], actor: str) -> HttpResponse:
    method, path, _details = OPERATIONS[operation]
    for name, thing in _places(operation, case).items():
        path = path.replace(f"{{{name}}}", thing[1:] if thing.startswith("=") else str(ids[thing]))
    client = matrix.clients[actor]
    if case.picture:
        return client.upload(
            path, {case.picture: SimpleUploadedFile("a.jpg", PICTURE), **case.form}, method=method
        )
    body = case.body(ids) if case.body else None
    answer = client.request(method, f"{path}{case.query}", body)
    if answer.streaming:
        list(answer.streaming_content)  # type: ignore[attr-defined]
        answer.close()
    return answer


def _put_back(matrix: Matrix) -> list[str]:
    """The tables that have changed, which are as before from here on."""
    changed = matrix.tables.changed()
    matrix.tables.restore(changed)
    cache.clear()
    return changed


def _wrongs(matrix: Matrix, case: Case, answer: HttpResponse) -> list[str]:
    """What is wrong with a refusal beside its status, and with an answer that is none."""
    if answer.status_code not in REFUSED:
        return [] if answer.status_code < 500 else [answer.content.decode()]
    wrongs: list[str] = []
    problem = json.loads(answer.content)
    if answer.has_header("ETag"):
        wrongs.append("has an ETag")
    if answer.status_code == 404 != case.status and _told(answer) != matrix.missing:
        wrongs.append(f"not as missing: {problem}")
    if answer.status_code == 403 and problem["code"] not in ("not_allowed", "own_property"):
        wrongs.append(f"says {problem['code']}")
    return wrongs


def _told(answer: HttpResponse) -> Any:
    """All that an answer tells, without the request's own id."""
    problem = {name: value for name, value in json.loads(answer.content).items() if name != "request_id"}
    return problem, {name: answer.get(name) for name in TOLD}
