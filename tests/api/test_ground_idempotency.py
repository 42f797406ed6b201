"""The API's ground: a request with an Idempotency-Key is carried out once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from backend.core import idempotency
from backend.core.models import IdempotencyKey, PlatformSetting
from tests.api.client import ApiClient
from tests.api.test_ground_input import fields, refused
from tests.factories import make_user

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.urls("tests.api.ground_world")]

PATH = "/api/mine/"


def made() -> int:
    return PlatformSetting.objects.count()


@pytest.fixture
def user(db: None) -> ApiClient:
    return ApiClient(make_user())


def test_same_request_gets_the_first_answer_again(user: ApiClient) -> None:
    first = user.post(PATH, {"title": "one"}, idempotency_key="k1")
    again = user.post(PATH, {"title": "one"}, idempotency_key="k1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first["Content-Type"] == again["Content-Type"]
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert made() == 1


def test_request_without_a_key_is_carried_out_each_time(user: ApiClient) -> None:
    for _ in range(2):
        assert user.post(PATH, {"title": "one"}).status_code == 201

    assert made() == 2
    assert IdempotencyKey.objects.count() == 0


def test_other_body_under_the_same_key_is_refused(user: ApiClient) -> None:
    user.post(PATH, {"title": "one"}, idempotency_key="k1")

    document = refused(user.post(PATH, {"title": "two"}, idempotency_key="k1"), 422, "idempotency_key_reused")

    assert document["errors"] == []
    assert made() == 1


def test_keys_belong_to_their_user(user: ApiClient) -> None:
    other = ApiClient(make_user())

    user.post(PATH, {"title": "one"}, idempotency_key="k1")
    response = other.post(PATH, {"title": "two"}, idempotency_key="k1")

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response
    assert made() == 2


def test_refusal_is_given_again_too(user: ApiClient) -> None:
    first = user.post(PATH, {"title": "clash"}, idempotency_key="k1")
    again = user.post(PATH, {"title": "clash"}, idempotency_key="k1")

    refused(first, 409, "clash")
    assert (again.status_code, again.content) == (409, first.content)
    assert again["Content-Type"] == "application/problem+json"
    assert made() == 1


def test_defect_is_not_kept(user: ApiClient) -> None:
    assert user.post(PATH, {"title": "broken"}, idempotency_key="k1").status_code == 500
    assert user.post(PATH, {"title": "broken"}, idempotency_key="k1").status_code == 500

    assert made() == 2
    assert IdempotencyKey.objects.count() == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "tab\there", "\x7f"])
def test_key_that_is_none_is_refused(user: ApiClient, key: str) -> None:
    document = refused(user.post(PATH, {"title": "one"}, idempotency_key=key), 422, "invalid")

    assert fields(document) == {"Idempotency-Key": "invalid_idempotency_key"}
    assert made() == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, "with space ~!"])
def test_key_of_printable_characters_is_taken(user: ApiClient, key: str) -> None:
    assert user.post(PATH, {"title": "one"}, idempotency_key=key).status_code == 201


def test_nobody_may_not_use_a_key() -> None:
    refused(ApiClient().post(PATH, {"title": "one"}, idempotency_key="k1"), 401, "unauthenticated")

    assert IdempotencyKey.objects.count() == 0


def test_second_request_in_flight_is_in_progress(user: ApiClient) -> None:
    user.post(PATH, {"title": "one"}, idempotency_key="k1")
    IdempotencyKey.objects.update(status=None, body=None, claimed_at=timezone.now())

    response = user.post(PATH, {"title": "one"}, idempotency_key="k1")

    refused(response, 409, "request_in_progress")
    assert response["Retry-After"] == "1"
    assert made() == 1


def test_request_that_died_may_be_tried_again_after_its_lease(user: ApiClient) -> None:
    user.post(PATH, {"title": "one"}, idempotency_key="k1")
    lapsed = timezone.now() - idempotency.LEASE - timedelta(seconds=1)
    IdempotencyKey.objects.update(status=None, body=None, claimed_at=lapsed)

    refused(user.post(PATH, {"title": "two"}, idempotency_key="k1"), 422, "idempotency_key_reused")
    response = user.post(PATH, {"title": "one"}, idempotency_key="k1")

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response
    assert made() == 2


def test_answer_of_a_lapsed_claim_is_not_stored() -> None:
    now = timezone.now()
    first = idempotency.begin(user_id=1, key="k", fingerprint=b"f", now=now)
    second = idempotency.begin(user_id=1, key="k", fingerprint=b"f", now=now + timedelta(seconds=61))
    assert isinstance(first, idempotency.Claim)
    assert isinstance(second, idempotency.Claim)

    assert idempotency.finish(first, idempotency.Answer(201, {}, b"first")) is False
    assert idempotency.finish(second, idempotency.Answer(201, {}, b"second")) is True

    kept = idempotency.begin(user_id=1, key="k", fingerprint=b"f", now=now + timedelta(seconds=62))
    assert kept == idempotency.Answer(201, {}, b"second")


def test_key_is_forgotten_after_seven_days(user: ApiClient) -> None:
    user.post(PATH, {"title": "one"}, idempotency_key="k1")
    now = timezone.now()

    assert idempotency.purge(now + timedelta(days=6, hours=23)) == 0
    assert idempotency.purge(now + timedelta(days=7)) == 1

    assert user.post(PATH, {"title": "two"}, idempotency_key="k1").status_code == 201
    assert made() == 2


def test_expired_key_is_free_before_it_is_purged() -> None:
    now = timezone.now()
    first = idempotency.begin(user_id=1, key="k", fingerprint=b"f", now=now - timedelta(days=8))
    assert isinstance(first, idempotency.Claim)
    idempotency.finish(first, idempotency.Answer(201, {}, b"old"))

    assert isinstance(idempotency.begin(user_id=1, key="k", fingerprint=b"g", now=now), idempotency.Claim)


def test_many_at_once_are_carried_out_once(user: ApiClient) -> None:
    start = threading.Barrier(12)
    answers: list[Any] = []

    def ask() -> None:
        client = ApiClient(token=user.token)
        start.wait()
        answers.append(client.post(PATH, {"title": "one"}, idempotency_key="k1"))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    fresh = [each for each in answers if each.status_code == 201 and "Idempotent-Replayed" not in each]
    others = {each.status_code for each in answers if each not in fresh}
    assert len(fresh) == 1
    assert others <= {201, 409}
    assert made() == 1
    assert not connection.in_atomic_block
