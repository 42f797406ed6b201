"""The life of an account over real HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable

import httpx
import PIL.Image

from tests.conftest import Server

JOHN = {"username": "john_doe", "email": "john@example.com", "password": "securePassword123"}


def test_an_account_lives_from_register_to_logout_over_real_http(start_server: Callable[..., Server]) -> None:
    picture = io.BytesIO()
    PIL.Image.new("RGB", (200, 100), (10, 120, 200)).save(picture, "PNG")

    with httpx.Client(base_url=start_server().url, trust_env=False) as http:
        made = http.post("/api/register", json=JOHN).json()
        http.headers["Authorization"] = f"Bearer {made['token']}"
        uploaded = http.put("/api/profile/photo/", files={"photo": ("me.png", picture.getvalue())})
        profile = http.get("/api/profile/")
        stored = http.get(profile.json()["photo"])
        rotated = http.post("/api/token/refresh/", json={"refresh": made["refresh"]}).json()
        signed_out = http.post("/api/logout/")
        after = [
            http.get("/api/profile/").status_code,
            http.get("/api/profile/", headers={"Authorization": f"Bearer {rotated['token']}"}).status_code,
            http.post("/api/token/refresh/", json={"refresh": rotated["refresh"]}).status_code,
        ]
        again = http.post("/api/login/", json={"email": JOHN["email"], "password": JOHN["password"]})

    assert (uploaded.status_code, uploaded.json()) == (200, profile.json())
    assert profile.headers["X-Request-ID"]
    assert PIL.Image.open(io.BytesIO(stored.content)).size == (200, 100)
    assert (signed_out.status_code, after) == (204, [401, 401, 401])
    assert (again.status_code, again.json()["id"]) == (200, made["id"])
