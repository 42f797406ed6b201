"""A client of the API that speaks JSON and is signed in as somebody."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from backend.accounts.models import User
from tests.factories import PASSWORD

JSON = "application/json"


def access_token(user: User) -> str:
    """A fresh access token of ``user``, through a real sign-in. Gives the user ``PASSWORD`` when they have none."""
    from backend.identity import services as identity

    if not user.has_usable_password():
        user.set_password(PASSWORD)
        user.save(update_fields=["password"])
    device = identity.Device(address="127.0.0.1", user_agent="tests")
    return identity.sign_in(login=user.username, password=PASSWORD, device=device, now=timezone.now()).access


class ApiClient:
    """``ApiClient(user).post("/api/bookings/", {...}).json()``; without a user it is anonymous.

    Bodies given as ``bytes`` or ``str`` are sent as they are. Keyword arguments are headers: ``if_match='"…"'``.
    """

    def __init__(self, user: User | None = None, *, token: str | None = None) -> None:
        self.user = user
        self.token = token if token is not None or user is None else access_token(user)
        self.client = Client(raise_request_exception=False)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """Send one request; ``body`` becomes JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("authorization", f"Bearer {self.token}")
        content_type = sent.pop("content-type", JSON)
        data = b"" if body is None else body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.client.generic(  # type: ignore[return-value]
            method, path, data, content_type=content_type if data else "", headers=sent
        )

    def get(self, path: str, params: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
        return self.request("GET", _with(path, params), None, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("DELETE", path, body, **headers)

    def upload(
        self, path: str, files: dict[str, Any], *, method: str = "POST", **headers: str
    ) -> HttpResponse:
        """Send ``files`` (and plain form values) as multipart/form-data."""
        from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

        return self.request(
            method, path, encode_multipart(BOUNDARY, files), **{"content-type": MULTIPART_CONTENT}, **headers
        )


def _with(path: str, params: dict[str, Any] | None) -> str:
    from urllib.parse import urlencode

    return f"{path}?{urlencode(params)}" if params else path
